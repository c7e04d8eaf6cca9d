#pragma once

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>

namespace lowrank {

/// Largest difference relative to the largest value, or to `least` if that is larger; huge if the shapes
/// differ or a value is not finite.
inline double relative(const at::Tensor& ours, const at::Tensor& expected, double least = 1e-12) {
  constexpr double wrong = 1e9;
  if (ours.sizes() != expected.sizes()) return wrong;
  if (expected.numel() == 0) return 0;
  const at::Tensor a = ours.detach().to(at::kDouble), b = expected.detach().to(at::kDouble);
  const double error =
      at::max(at::abs(a - b)).item<double>() / std::max(least, at::max(at::abs(b)).item<double>());
  return error < wrong ? error : wrong;
}

/// A copy that requires a gradient.
inline at::Tensor leaf(const at::Tensor& tensor) {
  at::Tensor copy = tensor.detach().clone();
  copy.set_requires_grad(true);
  return copy;
}

}  // namespace lowrank
