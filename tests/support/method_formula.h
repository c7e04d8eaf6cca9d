#pragma once

#include <string>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "model/registry.h"
#include "peft/core/registry.h"
#include "peft/files/adapter_file.h"
#include "support/tiny_model.h"

namespace lowrank::test {

/// A method on a tiny Llama with values that all matter, for tests that restate its formula.
class MethodFormula {
 public:
  explicit MethodFormula(const std::string& method, const nlohmann::json& options = nlohmann::json::object(),
                         bool stirred = true) {
    write_tiny_model(folder_.path(), tiny_llama_config());
    checkpoint = Checkpoint::open(folder_.path());
    const MethodInfo& info = method_named(method);
    std::unique_ptr<Method> made = info.make();
    apply(made->fields(), options, "test");
    adapter = make_adapter(info, std::move(made), *checkpoint);
    adapter.method->initialise(*checkpoint, 7);
    if (!stirred) return;
    const at::NoGradGuard no_grad;
    Philox random(5);
    at::Tensor& values = adapter.parameters->values();
    for (int64_t i = 0; i < values.numel(); ++i) values[i] += 0.1 * random.normal();
  }

  /// A parameter of a module, such as `q_proj` of layer 1, without PEFT's prefix.
  at::Tensor parameter(const std::string& module, const std::string& name) const {
    return adapter.parameters->at("base_model.model." + path(module) + "." + name).detach();
  }
  at::Tensor weight(const std::string& module) const {
    return checkpoint->read(*checkpoint->spec().find_tensor(path(module) + ".weight"), at::kFloat);
  }
  at::Tensor merged(const std::string& module) const {
    const at::NoGradGuard no_grad;
    return *adapter.method->merged(*checkpoint->spec().find_tensor(path(module) + ".weight"), weight(module));
  }

  /// Expects that the merged weight of a module is `expected`.
  void expect_merged(const std::string& module, const at::Tensor& expected) const {
    EXPECT_LT(at::max(at::abs(merged(module) - expected)).item<double>(), 1e-5) << module;
    EXPECT_GT(at::max(at::abs(expected - weight(module))).item<double>(), 1e-4) << module;
  }

  std::shared_ptr<const Checkpoint> checkpoint;
  Adapter adapter;

 private:
  static std::string path(const std::string& module) {
    return (module == "down_proj" ? "model.layers.1.mlp." : "model.layers.1.self_attn.") + module;
  }
  TemporaryFolder folder_;
};

}  // namespace lowrank::test
