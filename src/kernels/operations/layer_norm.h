#pragma once

#include "kernels/operations/rms_norm.h"

namespace lowrank {

/// stream' = stream + branch; normed = (stream' - mean) / sqrt(variance + epsilon) * weight + bias (Ba et al.
/// 2016, arXiv 1607.06450). stream [T, d] f32 (f64 with f64 weights); branch [T, d] f32, bf16 or undefined
/// (nothing is added); weight and bias [d] of the stream's type, which may require gradients; `out`: type of
/// `normed`.
AddNorm add_layer_norm(const at::Tensor& stream, const at::Tensor& branch, const at::Tensor& weight,
                       const at::Tensor& bias, double epsilon, at::ScalarType out);

}  // namespace lowrank
