#pragma once

#include <ATen/core/Tensor.h>

namespace lowrank {

/// A matrix of Compacter (Mahabadi et al. 2021, arXiv 2106.04647; Zhang et al. 2021, arXiv 2102.08597):
///   H = sum_i A_i (x) (S_i T_i)  [p, q], i < n, with (x) the Kronecker product.
struct PhmMatrix {
  at::Tensor rule;   ///< A [n, n, n]
  at::Tensor left;   ///< S [n, p/n, r]
  at::Tensor right;  ///< T [n, r, q/n]
};

/// x H for x [T, p], without H: x in n pieces meets all S_i, the results A_i, then T_i. [T, q]
at::Tensor phm_product(const at::Tensor& x, const PhmMatrix& matrix);

/// Multiply-adds of `phm_product` for a token.
int64_t phm_multiply_adds(int64_t p, int64_t q, int64_t n, int64_t r);

}  // namespace lowrank
