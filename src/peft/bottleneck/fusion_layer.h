#pragma once

#include <string>
#include <vector>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include "peft/core/method.h"

namespace lowrank {

/// Combines the outputs u_i [T, d] of several adapters at one place (Pfeiffer et al. 2021, arXiv 2005.00247,
/// section 3.4):
///   sum_i p_i (V u_i), p = softmax_i((Q x + b) · (K u_i + c)), x [T, d] the query; without V (static) sum_i
///   p_i u_i. c adds the same to every score, so it cancels; files hold it, and it gets no gradient.
class FusionLayer {
 public:
  /// `prefix`: prefix of its tensors' names; `dynamic`: with V.
  FusionLayer(std::string prefix, int64_t hidden, bool dynamic)
      : prefix_(std::move(prefix)), hidden_(hidden), dynamic_(dynamic) {}

  /// Adds its parameters and the multiply-adds for the outputs of `members` adapters.
  void plan(TrainPlan& plan, int64_t members) const;
  void bind(const ParameterSet& parameters);
  /// Q, K N(0, 0.02), biases zero, V one on the diagonal and 1e-6 elsewhere.
  void initialise(at::Generator& generator) const;

  at::Tensor apply(const at::Tensor& x, const std::vector<at::Tensor>& outputs) const;

  /// ||I - V||_F^2, a scalar; requires V.
  at::Tensor distance_from_identity() const;

 private:
  std::string prefix_;
  int64_t hidden_;
  bool dynamic_;
  at::Tensor query_, query_bias_, key_, key_bias_, value_;
};

}  // namespace lowrank
