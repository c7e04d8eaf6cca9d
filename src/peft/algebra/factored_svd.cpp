#include "peft/algebra/factored_svd.h"

#include <tuple>

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/mm.h>

namespace lowrank {

int64_t FactoredSvd::numerical_rank(double relative) const {
  if (strengths.numel() == 0 || strengths[0].item<double>() == 0) return 0;
  return (strengths > strengths[0] * relative).sum().item<int64_t>();
}

FactoredSvd svd_of_product(const at::Tensor& b, const at::Tensor& a) {
  const auto [output_basis, output_part] = at::linalg_qr(b.to(at::kDouble));
  const auto [input_basis, input_part] = at::linalg_qr(a.to(at::kDouble).t());
  const auto [u, s, vh] = at::linalg_svd(at::mm(output_part, input_part.t()), /*full_matrices=*/false);
  return {at::mm(output_basis, u), s, at::mm(input_basis, vh.t())};
}

}  // namespace lowrank
