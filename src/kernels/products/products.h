#pragma once

#include <optional>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// x [T, k] times w [n, k] transposed, plus bias [n]: [T, n], in x's type, without gradient. f32 and bf16 use
/// our own kernels if has_f32_product (kernels/products/f32_product.h) or has_bf16_product
/// (kernels/products/bf16_product.h); else oneDNN, whose kernels keep their speed on w as it lies in memory,
/// including a transposed view (MKL's do not on every processor); other types use libtorch. If
/// !bf16_is_fast(), bf16 products are computed in f32, some rows of w at a time, and rounded once, like the
/// others. w may be packed (see packed_for_products).
at::Tensor product(const at::Tensor& x, const at::Tensor& w,
                   const std::optional<at::Tensor>& bias = std::nullopt);

/// True if the processor multiplies bf16 matrices faster than f32 ones (AVX512-BF16 or AMX). Elsewhere oneDNN
/// has no bf16 product, or (AVX-512) one that takes more than twice as long as f32.
bool bf16_is_fast();

/// True if libtorch has oneDNN's packed products of this type. They are private operators of libtorch: looked
/// up by name, used only if their signatures are the known ones.
bool can_pack(at::ScalarType type);

/// w [n, k] in oneDNN's preferred layout, for `product` only.
at::Tensor packed_for_products(const at::Tensor& w);

}  // namespace lowrank
