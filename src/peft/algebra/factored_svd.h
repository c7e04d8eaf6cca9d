#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// U diag(S) V^T, in double precision.
struct FactoredSvd {
  at::Tensor outputs;    ///< U [out, k], orthonormal columns
  at::Tensor strengths;  ///< S [k], falling
  at::Tensor inputs;     ///< V [in, k], orthonormal columns

  /// The number of singular values above `relative` times the largest.
  int64_t numerical_rank(double relative = 1e-6) const;
};

/// The singular value decomposition of B A, b [out, r] and a [r, in], from QR decompositions of the factors
/// and the SVD of an r x r matrix: k = min(r, in, out), and B A is never formed.
FactoredSvd svd_of_product(const at::Tensor& b, const at::Tensor& a);

}  // namespace lowrank
