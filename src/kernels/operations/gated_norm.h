#pragma once

#include <ATen/core/Tensor.h>

namespace lowrank {

/// The gated norm of Qwen 3.5 (as in Mamba 2, Dao and Gu 2024, arXiv 2405.21060, but with the norm first):
/// for each head, x / sqrt(mean(x^2) + epsilon) * weight * silu(gate), the mean over the head's columns. x
/// and gate [T, heads * d] of one type, f32, bf16 (f64), -> the same; rows of the gate may lie apart; weight
/// [d], f32 (f64 with f64 rows), may require a gradient. One pass forward and one backward, which keeps only
/// the operands.
at::Tensor gated_norm(const at::Tensor& x, const at::Tensor& gate, const at::Tensor& weight, double epsilon);

/// The same from plain differentiable operations.
at::Tensor gated_norm_reference(const at::Tensor& x, const at::Tensor& gate, const at::Tensor& weight,
                                double epsilon);

}  // namespace lowrank
