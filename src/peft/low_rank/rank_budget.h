#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// How many ranks are kept at each step (AdaLoRA, Zhang et al. 2023, arXiv 2303.10512, section 3.3).
struct BudgetSchedule {
  int64_t init_rank = 12, target_rank = 8;  ///< per module, at the start and on average at the end
  int64_t t_init = 0, t_final = 0;          ///< steps before the first and after the last pruning
  int64_t interval = 1;                     ///< steps between two prunings
  int64_t total_steps = 0;

  /// True from the step at which the ranks are fixed.
  bool is_final(int64_t step) const { return step >= total_steps - t_final; }
  /// The number of ranks that all `modules` together keep at a step:
  ///   (init - target) (1 - (t - t_init) / (total - t_final - t_init))^3 + target in between.
  int64_t budget(int64_t step, int64_t modules) const;
  /// True when ranks are reallocated at this step.
  bool allocates(int64_t step) const;
};

/// Moving averages of a tensor's sensitivity |p g| and of its uncertainty (equations 9 to 11).
class Importance {
 public:
  void update(const at::Tensor& value, const at::Tensor& gradient, double beta1, double beta2);
  /// The product of the two, in the tensor's shape; after the first `update`.
  at::Tensor score() const;
  bool known() const { return sensitivity_.defined(); }

  /// The averages themselves, in the tensor's shape; undefined before the first `update`.
  const at::Tensor& sensitivity() const { return sensitivity_; }
  const at::Tensor& uncertainty() const { return uncertainty_; }
  /// Continues from the averages of an earlier run.
  void restore(at::Tensor sensitivity, at::Tensor uncertainty) {
    sensitivity_ = std::move(sensitivity);
    uncertainty_ = std::move(uncertainty);
  }

 private:
  at::Tensor sensitivity_, uncertainty_;
};

/// Which ranks are kept: those whose score is above the k-th smallest of all, k = ranks - budget; all if k is
/// 0. `scores`: [r] per module; the result has the same shapes, bool.
std::vector<at::Tensor> kept_ranks(const std::vector<at::Tensor>& scores, int64_t budget);

}  // namespace lowrank
