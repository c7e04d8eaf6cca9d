#pragma once

#include <optional>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// x [T, k] times w [n, k] transposed, plus bias [n]: [T, n], in x's type, without gradient. f32 and bf16
/// through kernels of ours where has_f32_product (kernels/f32_product.h) or has_bf16_product
/// (kernels/bf16_product.h); else through oneDNN, whose kernels keep their speed on w as it lies in memory, a
/// transposed view included (MKL's do not on every processor); other types through libtorch. Where
/// !bf16_is_fast() products of bf16 are computed in f32, some rows of w at a time, and rounded once, as the
/// others are. w may be packed (see packed_for_products).
at::Tensor product(const at::Tensor& x, const at::Tensor& w,
                   const std::optional<at::Tensor>& bias = std::nullopt);

/// True where the processor multiplies bf16 matrices faster than f32 ones (AVX512-BF16 or AMX). Elsewhere
/// oneDNN has no product of bf16, or (AVX-512) one that takes more than twice f32's time.
bool bf16_is_fast();

/// True where libtorch has oneDNN's packed products of this type. They are private operators of libtorch:
/// looked up by name, used only where their signatures are the known ones.
bool can_pack(at::ScalarType type);

/// w [n, k] in the layout that oneDNN likes best, for `product` only.
at::Tensor packed_for_products(const at::Tensor& w);

}  // namespace lowrank
