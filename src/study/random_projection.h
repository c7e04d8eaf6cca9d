#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// R [inputs, outputs] f32 of independent normal values N(0, 1 / outputs), determined by the seed: x R
/// preserves squared lengths and distances of x on average, and for many outputs approximately (Johnson and
/// Lindenstrauss 1984).
at::Tensor random_projection(int64_t inputs, int64_t outputs, uint64_t seed);

/// Centres rows and scales them by one number, which preserves the layout: (x - mean) * factor.
struct CommonScale {
  at::Tensor mean;    ///< [d]
  double factor = 1;  ///< makes the mean variance of a column 1

  at::Tensor operator()(const at::Tensor& rows) const;
};

/// The scale of these rows, [N, d] f32. Errors: invalid when all rows are equal.
CommonScale common_scale(const at::Tensor& rows);

}  // namespace lowrank
