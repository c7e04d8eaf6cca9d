#include "peft/bottleneck/phm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/mm.h>

namespace lowrank {

at::Tensor phm_product(const at::Tensor& x, const PhmMatrix& matrix) {
  const int64_t rows = x.size(0);
  const int64_t n = matrix.rule.size(0);
  const int64_t r = matrix.left.size(2);
  // [T n, p/n] [p/n, n r]: column i r + j is the j-th of S_i.
  const at::Tensor left = matrix.left.permute({1, 0, 2}).reshape({-1, n * r});
  const at::Tensor z = at::mm(x.reshape({rows * n, -1}), left);
  // y[t, b, i, j] = sum_a z[t, a, i, j] A_i[a, b]
  const at::Tensor by_term = z.view({rows, n, n, r}).permute({2, 0, 3, 1}).reshape({n, rows * r, n});
  const at::Tensor mixed = at::bmm(by_term, matrix.rule).view({n, rows, r, n}).permute({1, 3, 0, 2});
  return at::mm(mixed.reshape({rows * n, n * r}), matrix.right.reshape({n * r, -1})).reshape({rows, -1});
}

int64_t phm_macs(int64_t p, int64_t q, int64_t n, int64_t r) {
  return n * r * (p + q) + n * n * n * r;
}

}  // namespace lowrank
