#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// The singular values of a matrix, falling, [min(rows, columns)], f64: the roots of the eigenvalues of its
/// Gram matrix, which is summed up in f64 by blocks. Those below about 1e-8 times the largest are noise.
at::Tensor singular_values(const at::Tensor& matrix);

/// What singular values s_1 >= s_2 >= ... say of a matrix.
struct Spectrum {
  std::vector<double> values;

  explicit Spectrum(const at::Tensor& falling);
  Spectrum() = default;

  double energy() const;  ///< the sum of s_i^2, the squared Frobenius norm
  double norm() const;    ///< its root
  /// The smallest number of directions that hold this share of the energy; 0 without energy.
  int64_t directions_holding(double share) const;
  /// The shares of the energy that the first 1, 2, ... directions hold.
  std::vector<double> held() const;
  /// exp(-sum p_i log p_i) with p_i = s_i / sum s (Roy and Vetterli 2007): k for k equal values.
  double effective_rank() const;
  /// energy / s_1^2, at most the rank.
  double stable_rank() const;
};

}  // namespace lowrank
