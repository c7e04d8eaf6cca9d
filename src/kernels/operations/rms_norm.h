#pragma once

#include <ATen/core/Tensor.h>

namespace lowrank {

/// A residual stream after an addition, and its norm.
struct AddNorm {
  at::Tensor stream;  ///< [T, d], f32
  at::Tensor normed;  ///< [T, d]
};

/// stream' = stream + branch; normed = stream' / sqrt(mean(stream'^2) + epsilon) * weight (Zhang and
/// Sennrich 2019, arXiv 1910.07467), one pass forward and one backward, which keeps the normed rows rather
/// than the stream. stream [T, d] f32 (f64 with f64 weights); branch [T, d] f32, bf16 or undefined (nothing
/// is added); weight [d] of the stream's type, which may require a gradient; `out`: type of `normed`.
AddNorm add_rms_norm(const at::Tensor& stream, const at::Tensor& branch, const at::Tensor& weight,
                     double epsilon, at::ScalarType out);

/// The norm alone, without a stream to carry on.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon, at::ScalarType out);

/// The same as `add_rms_norm` from plain differentiable operations.
AddNorm add_rms_norm_reference(const at::Tensor& stream, const at::Tensor& branch, const at::Tensor& weight,
                               double epsilon, at::ScalarType out);

}  // namespace lowrank
