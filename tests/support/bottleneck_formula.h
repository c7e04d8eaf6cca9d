#pragma once

#include <string>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "kernels/operations/layer_norm.h"
#include "model/linear.h"
#include "support/adapters.h"

namespace lowrank::test {

/// A bottleneck method on a tiny Llama with values that all matter, and one layer's random stream `in` and
/// branch output `out`, for tests that restate its formula.
class BottleneckFormula {
 public:
  explicit BottleneckFormula(const std::string& method,
                             const nlohmann::json& options = nlohmann::json::object()) {
    write_tiny_model(folder_.path(), tiny_llama_config());
    checkpoint = Checkpoint::open(folder_.path());
    adapter = random_adapter(*checkpoint, options, method);
    norm.weight_value = at::randn({32}) * 0.1 + 1;
    norm.bias_value = at::randn({32}) * 0.1;
    norm.bias = &checkpoint->spec().tensors.front();
    norm.epsilon = 1e-12;
  }

  /// A tensor of the adapter in layer 1, `output_adapters` or `attention_adapters`.
  at::Tensor parameter(const std::string& name, const std::string& place = "output_adapters") const {
    return adapter.parameters->at("model.layers.1." + place + ".adapters.adapter." + name).detach();
  }
  bool has(const std::string& name) const {
    return std::ranges::find(adapter.plan.parameters, name, &ParameterSpec::name) !=
           adapter.plan.parameters.end();
  }

  /// x D^T + b and x U^T + c of such an adapter.
  at::Tensor down(const at::Tensor& x, const std::string& place = "output_adapters",
                  const std::string& name = "adapter_down.0.") const {
    return at::mm(x, parameter(name + "weight", place).t()) + parameter(name + "bias", place);
  }
  at::Tensor up(const at::Tensor& x, const std::string& place = "output_adapters") const {
    return at::mm(x, parameter("adapter_up.weight", place).t()) + parameter("adapter_up.bias", place);
  }

  /// The frozen norm after the sum on a post-norm model.
  at::Tensor normed(const at::Tensor& x) const {
    const at::Tensor centred = x - x.mean(1, true);
    return centred / (centred.pow(2).mean(1, true) + norm.epsilon).sqrt() * norm.weight_value +
           norm.bias_value;
  }

  /// What the method adds to `in` at the end of a branch of layer 1.
  at::Tensor branch_end(Role branch = Role::down, bool post_norm = false) const {
    const at::NoGradGuard no_grad;
    return adapter.method->branch_end(PlacesIn(batch).layer(1), {branch, post_norm ? &norm : nullptr}, in,
                                      out);
  }

  static void expect_equal(const at::Tensor& found, const at::Tensor& expected) {
    EXPECT_LT(largest_difference(found, expected), 1e-5);
  }

  std::shared_ptr<const Checkpoint> checkpoint;
  Adapter adapter;
  Batch batch;
  Norm norm;
  at::Tensor in = at::randn({5, 32}), out = at::randn({5, 32});

 private:
  TemporaryFolder folder_;
};

}  // namespace lowrank::test
