#pragma once

#include <string>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include "peft/bottleneck/bottleneck_config.h"
#include "peft/bottleneck/phm.h"
#include "peft/core/method.h"

namespace lowrank {

/// The bottleneck at one place:
///   u(x) = s (f(LN(x) D^T + b) U^T + c), D [k, d], U [d, k]; LN only with `ln_before`;
/// the caller adds u to the stream. With PHM, D^T and U^T are PhmMatrix.
class Bottleneck {
 public:
  /// `prefix`: prefix of its tensors' names; `rule`: name of the shared PHM rule.
  Bottleneck(const BottleneckConfig& config, int64_t hidden, std::string prefix, std::string rule);

  /// Adds its parameters, copies and multiply-adds; the caller adds the shared rule. `frozen`: never trained.
  void plan(TrainPlan& plan, bool frozen = false) const;
  void bind(const ParameterSet& parameters);
  /// Initial values by init_weights: bert: matrices N(0, 0.02); mam_adapter: D uniform in +-1/sqrt(d), U
  /// zero; houlsby: N(0, 0.01) truncated at two deviations; normal: N(0, 0.01). Biases are zero. PHM's
  /// factors: N(0, sqrt(2 / (rows + columns))), and unshared rules N(0, 0.01).
  void initialise(at::Generator& generator) const;

  /// u(x) for x [T, d] in the parameters' type; `dropout_seed` is specific to this place and pass; 0: no
  /// dropout.
  at::Tensor apply(const at::Tensor& x, uint64_t dropout_seed) const;

  const std::string& prefix() const { return prefix_; }

 private:
  /// One of the two matrices.
  struct Projection {
    at::Tensor weight;  ///< [out, in]
    PhmMatrix phm;
    at::Tensor bias;  ///< [out]
  };
  std::string down_name() const {
    return prefix_ + (config_.ln_before ? "adapter_down.1." : "adapter_down.0.");
  }
  std::string up_name() const { return prefix_ + "adapter_up."; }
  void plan_projection(TrainPlan& plan, const std::string& name, int64_t in, int64_t out, bool frozen) const;
  Projection bound(const ParameterSet& parameters, const std::string& name) const;
  void initialise(const Projection& projection, bool is_down, at::Generator& generator) const;
  at::Tensor project(const at::Tensor& x, const Projection& projection) const;

  BottleneckConfig config_;
  int64_t hidden_, size_;
  std::string prefix_, rule_;
  at::Tensor (*activation_)(const at::Tensor&);
  at::Tensor norm_weight_, norm_bias_, scale_;
  Projection down_, up_;
};

}  // namespace lowrank
