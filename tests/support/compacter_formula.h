#pragma once

#include <ATen/ops/kron.h>

#include "support/bottleneck_formula.h"

namespace lowrank::test {

/// x H + b with H = sum_i A_i (x) (S_i T_i) written out, of a projection in layer 1.
inline at::Tensor phm_projection(const BottleneckFormula& formula, const at::Tensor& x,
                                 const std::string& name, const std::string& place) {
  const at::Tensor rule = formula.adapter.parameters->at("model.shared_parameters.adapter.phm_rule").detach();
  const at::Tensor left = formula.parameter(name + "W_left", place);
  const at::Tensor right = formula.parameter(name + "W_right", place);
  at::Tensor h;
  for (int64_t i = 0; i < rule.size(0); ++i) {
    const at::Tensor term = at::kron(rule[i], at::mm(left[i], right[i]));
    h = h.defined() ? h + term : term;
  }
  return at::mm(x, h) + formula.parameter(name + "b", place);
}

}  // namespace lowrank::test
