#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

namespace lowrank {

/// The similarity of subspaces (equation 4 of Hu et al. 2021, arXiv 2106.09685), for all i and j:
///   phi(i, j) = |U_i^T U'_j|_F^2 / min(i, j),
/// U_i the i strongest directions of one update and U'_j the j strongest of another. It is the mean squared
/// cosine of the principal angles: 1 where one space holds the other, 0 where they are orthogonal; random
/// spaces of d dimensions have max(i, j) / d.
struct SimilarityGrid {
  int64_t rows = 0, columns = 0;  ///< directions of the one update and of the other
  std::vector<double> values;     ///< row by row

  /// phi(i, j), i from 1 to `rows`, j from 1 to `columns`.
  double at(int64_t i, int64_t j) const { return values[static_cast<size_t>((i - 1) * columns + j - 1)]; }
};

/// phi of two orthonormal bases, [d, rows] and [d, columns], whose first columns are the strongest
/// directions.
SimilarityGrid similarity_of(const at::Tensor& one, const at::Tensor& other);

/// Orthonormal columns of a random space, [size, directions], f64: the basis of a Gaussian matrix.
at::Tensor random_basis(int64_t size, int64_t directions, at::Generator& generator);

/// The mean of grids: each cell over those grids that have it.
SimilarityGrid mean_of(const std::vector<const SimilarityGrid*>& grids);

}  // namespace lowrank
