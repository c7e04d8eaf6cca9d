#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "kernels/operations/row_sequences.h"

namespace lowrank {

/// Most taps of a causal convolution.
inline constexpr int64_t most_taps = 16;

/// Depthwise causal convolution over the rows of packed sequences (as in Mamba, Gu and Dao 2023, arXiv
/// 2312.00752): y_t = f(sum over j < K of weight[:, K-1-j] x_{t-j}), f the identity or silu. x [T, C] f32,
/// bf16 (f64) -> [T, C] of its type; weight [C, K], f32 (f64 with f64 rows), may require a gradient. The rows
/// before a sequence's first are those of its parents, else `before` [S, K-1, C] (of x's type, the nearest
/// last; no gradient), else, or where that is undefined, zero. Rows of x may lie apart. One pass forward and
/// one backward.
at::Tensor causal_conv(const at::Tensor& x, const at::Tensor& weight, const RowSequences& sequences,
                       const at::Tensor& before, bool silu);

/// The same from plain differentiable operations.
at::Tensor causal_conv_reference(const at::Tensor& x, const at::Tensor& weight, const RowSequences& sequences,
                                 const at::Tensor& before, bool silu);

/// A gated short convolution (LFM2, arXiv 2511.23404): with parts [T, 3 C] = b | c | u, c times the causal
/// convolution of b * u, without an activation, [T, C]. `before`: rows of b * u. One pass forward and one
/// backward.
at::Tensor gated_causal_conv(const at::Tensor& parts, const at::Tensor& weight, const RowSequences& sequences,
                             const at::Tensor& before);

/// The same from plain differentiable operations.
at::Tensor gated_causal_conv_reference(const at::Tensor& parts, const at::Tensor& weight,
                                       const RowSequences& sequences, const at::Tensor& before);

}  // namespace lowrank
