#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// R [inputs, outputs] f32 of independent normal values N(0, 1 / outputs), a function of the seed: x R keeps
/// lengths and distances of x in the mean, and for many outputs nearly (Johnson and Lindenstrauss 1984).
at::Tensor random_projection(int64_t inputs, int64_t outputs, uint64_t seed);

/// Moves rows to their mean and scales them by one number, so that the geometry is kept: (x - mean) * factor.
struct CommonScale {
  at::Tensor mean;    ///< [d]
  double factor = 1;  ///< the mean variance of a column becomes 1

  at::Tensor operator()(const at::Tensor& rows) const;
};

/// The scale of these rows, [N, d] f32. Errors: invalid when all rows are equal.
CommonScale common_scale(const at::Tensor& rows);

}  // namespace lowrank
