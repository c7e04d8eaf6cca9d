#include "peft/low_rank/rank_budget.h"

#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/kthvalue.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros_like.h>

namespace lowrank {

int64_t BudgetSchedule::budget(int64_t step, int64_t modules) const {
  const int64_t start = init_rank * modules;
  const int64_t end = target_rank * modules;
  if (step <= t_init) return start;
  if (step > total_steps - t_final) return end;
  const double done =
      static_cast<double>(step - t_init) / static_cast<double>(total_steps - t_final - t_init);
  return static_cast<int64_t>(static_cast<double>(start - end) * std::pow(1 - done, 3) +
                              static_cast<double>(end));
}

bool BudgetSchedule::allocates(int64_t step) const {
  return step > t_init && step <= total_steps - t_final &&
         (step == total_steps - t_final || step % interval == 0);
}

void Importance::update(const at::Tensor& value, const at::Tensor& gradient, double beta1, double beta2) {
  const at::Tensor now = (value * gradient).abs();
  if (!sensitivity_.defined()) {
    sensitivity_ = at::zeros_like(now);
    uncertainty_ = at::zeros_like(now);
  }
  sensitivity_ = beta1 * sensitivity_ + (1 - beta1) * now;
  uncertainty_ = beta2 * uncertainty_ + (1 - beta2) * (now - sensitivity_).abs();
}

at::Tensor Importance::score() const {
  return sensitivity_ * uncertainty_;
}

std::vector<at::Tensor> kept_ranks(const std::vector<at::Tensor>& scores, int64_t budget) {
  const at::Tensor all = at::cat(scores);
  const int64_t dropped = std::clamp<int64_t>(all.numel() - budget, 0, all.numel());
  std::vector<at::Tensor> kept;
  if (dropped == 0) {
    for (const at::Tensor& score : scores) kept.push_back(at::ones_like(score, at::kBool));
    return kept;
  }
  const double threshold = std::get<0>(at::kthvalue(all, dropped)).item<double>();
  for (const at::Tensor& score : scores) kept.push_back(score > threshold);
  return kept;
}

}  // namespace lowrank
