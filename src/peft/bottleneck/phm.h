#pragma once

#include <ATen/core/Tensor.h>

namespace lowrank {

/// A Compacter matrix (Mahabadi et al. 2021, arXiv 2106.04647; Zhang et al. 2021, arXiv 2102.08597):
///   H = sum_i A_i (x) (S_i T_i)  [p, q], i < n, with (x) the Kronecker product.
struct PhmMatrix {
  at::Tensor rule;   ///< A [n, n, n]
  at::Tensor left;   ///< S [n, p/n, r]
  at::Tensor right;  ///< T [n, r, q/n]
};

/// x H [T, q] for x [T, p], without forming H: x in n pieces is multiplied by all S_i, then by A_i, then by
/// T_i.
at::Tensor phm_product(const at::Tensor& x, const PhmMatrix& matrix);

/// Multiply-adds of `phm_product` per token.
int64_t phm_macs(int64_t p, int64_t q, int64_t n, int64_t r);

}  // namespace lowrank
