#pragma once

#include <cstdint>
#include <optional>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// Leading singular vectors and values of a matrix M [m, n]: M is about U diag(S) V^T.
struct SingularVectors {
  at::Tensor u, s, vt;  ///< [m, k], [k] descending, [k, n]
};

/// `count` of them (at most min(m, n)) by subspace iteration from a random start, which is always the same
/// (Halko et al. 2011, arXiv 0909.4061, algorithm 4.4).
SingularVectors leading_singular_vectors(const at::Tensor& matrix, int64_t count, int64_t iterations);

/// Which rank an approximation takes: the smallest that holds the share `energy` of the squared singular
/// values, but at most `most`. With `most` alone it is `most`; one of the two is set.
struct RankChoice {
  std::optional<int64_t> most;
  std::optional<double> energy;
};

/// A matrix as B A.
struct LowRankFit {
  at::Tensor a;       ///< [r, n], orthonormal rows
  at::Tensor b;       ///< [m, r], f32; its columns shrink with the singular values
  double energy = 0;  ///< sum of the matrix's squared values
  double lost = 0;    ///< that of matrix - B A
};

/// The best B A of the chosen rank for a matrix [m, n], f32: from all singular vectors of a small matrix, by
/// leading_singular_vectors for larger ones, of which more are computed until they hold the energy. Its value
/// is a function of the matrix alone. A zero matrix has rank 1.
LowRankFit fit_low_rank(const at::Tensor& matrix, const RankChoice& choice);

/// The same for the matrix `b` [m, k] times `a` [k, n], from factors of size k if k is small.
LowRankFit fit_product(const at::Tensor& b, const at::Tensor& a, const RankChoice& choice);

/// The sum of the squared values of B A, in double precision and without forming it.
double energy_of_product(const at::Tensor& b, const at::Tensor& a);

}  // namespace lowrank
