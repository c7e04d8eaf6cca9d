#pragma once

#include <optional>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// x [T, k] times w [n, k] transposed, plus bias [n]: [T, n], in x's type, without gradient. In f32 and bf16
/// through oneDNN, whose kernels keep their speed on w as it lies in memory, a transposed view included
/// (MKL's do not on every processor); in other types through libtorch. w may be packed (see
/// packed_for_products).
at::Tensor product(const at::Tensor& x, const at::Tensor& w,
                   const std::optional<at::Tensor>& bias = std::nullopt);

/// True where libtorch has oneDNN's packed products. They are private operators of libtorch: looked up by
/// name, used only where their signatures are the known ones.
bool can_pack();

/// w [n, k] in the layout that oneDNN likes best, for `product` only.
at::Tensor packed_for_products(const at::Tensor& w);

}  // namespace lowrank
