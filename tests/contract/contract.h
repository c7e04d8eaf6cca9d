#pragma once

// What the contract tests run over: every method with each of its option examples, on model families.

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/rng.h"
#include "peft/core/registry.h"
#include "peft/files/adapter_file.h"
#include "support/load_forms.h"
#include "support/test_device.h"
#include "support/tiny_model.h"

namespace lowrank::test {

/// A method on a family; `example` is null for the default options, or those that stand in for them.
struct ContractCase {
  const FamilyInfo* family;
  const MethodInfo* method;
  const OptionExample* example = nullptr;

  std::string name() const {
    return std::string(family->name) + "_" + std::string(method->name) +
           (example ? "_with_" + std::string(example->name) : "");
  }
  std::unique_ptr<Method> make() const {
    std::unique_ptr<Method> made = method->make();
    const auto small = std::ranges::find(method->examples, small_example, &OptionExample::name);
    const OptionExample* chosen = example || small == method->examples.end() ? example : &*small;
    if (chosen) apply(made->fields(), nlohmann::json::parse(chosen->options), "an example of options");
    return made;
  }
};

inline void PrintTo(const ContractCase& of, std::ostream* out) {
  *out << of.name();
}

/// All methods with their default options on all families.
inline std::vector<ContractCase> default_cases() {
  std::vector<ContractCase> cases;
  for (const FamilyInfo* family : families()) {
    for (const MethodInfo* method : methods()) cases.push_back({family, method});
  }
  return cases;
}

/// All examples of options: on a family that has separate projections and no biases, on one with a fused
/// projection, transposed weights and biases, and on an encoder. Nothing else decides whether they fit a
/// family.
inline std::vector<ContractCase> example_cases() {
  std::vector<ContractCase> cases;
  for (const FamilyInfo* family : families()) {
    if (family->name != "llama" && family->name != "gpt2" && family->name != "bert") continue;
    for (const MethodInfo* method : methods()) {
      for (const OptionExample& example : method->examples) {
        if (example.name != small_example) cases.push_back({family, method, &example});
      }
    }
  }
  return cases;
}

inline std::string name_of_case(const testing::TestParamInfo<ContractCase>& info) {
  return info.param.name();
}

inline double difference(const at::Tensor& a, const at::Tensor& b) {
  return at::max(at::abs(a.cpu() - b.cpu())).item<double>();
}

/// A tiny base of random weights for a case, adapters and models on it, and three sequences of 7, 1 and 12
/// tokens.
class ContractFixture : public testing::Test {
 protected:
  /// Skips the test if the method cannot act on the family.
  void prepare(const ContractCase& of) {
    the_case_ = of;
    if (lacks_lstm(of.name())) GTEST_SKIP() << "libtorch's LSTM has no operation for extension devices";
    write_tiny_model(folder.path() / "base", of.family->tiny_config());
    checkpoint = Checkpoint::open(folder.path() / "base");
    examples = random_examples({7, 1, 12}, checkpoint->spec().vocabulary_size);
    if (checkpoint->spec().labels) label(examples, *checkpoint->spec().labels);
    batch = batch_of(examples);
    try {
      plan_adapter(*of.method, of.make(), checkpoint->spec());
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::unsupported) throw;
      GTEST_SKIP() << error.what();
    }
  }

  /// How much more rounding counts than in most families: Qwen 3.5 normalises small outputs of its
  /// recurrence, and with experts it changes which ones a token uses. On another device than the CPU
  /// libtorch's own products round otherwise for another number of rows.
  double rounding() const {
    const std::string_view name = the_case_.family->name;
    const double of_family = name == "qwen3_5_moe" ? 4 : name == "qwen3_5" ? 3 : name == "gemma4" ? 2 : 1;
    return test_device().is_cpu() ? of_family : 3 * of_family;
  }

  Adapter fresh(at::ScalarType type = at::kFloat) const { return test::on_test_device(started(type)); }

  /// With values that all matter.
  Adapter stirred(at::ScalarType type = at::kFloat) const {
    return test::on_test_device(stirred_on_cpu(type));
  }
  /// As one that was read from a file: what merges.
  Adapter stirred_on_cpu(at::ScalarType type = at::kFloat) const {
    Adapter adapter = started(type);
    const at::NoGradGuard no_grad;
    Philox random(4);
    at::Tensor& values = adapter.parameters->values();
    for (int64_t i = 0; i < values.numel(); ++i) values[i] += 0.05 * random.normal();
    return adapter;
  }

  std::unique_ptr<Model> model(const Adapter& adapter, LoadOptions options) const {
    options.training = true;
    options.device = test::test_device();
    options.use = uses_of(adapter.plan);
    return checkpoint->family().load(checkpoint, options);
  }
  std::unique_ptr<Model> model(const Adapter& adapter, at::ScalarType type = at::kFloat) const {
    LoadOptions options;
    options.compute = type;
    return model(adapter, options);
  }

  /// The model's output for each sequence: its label scores, or the logits of its last row.
  static at::Tensor logits(const Model& model, const Hooks& hooks, Batch of) {
    const at::NoGradGuard no_grad;
    hooks.layout(of);
    if (model.spec().labels) return sequence_scores(model, {&of}, hooks).cpu();
    std::vector<int64_t> rows;
    for (int64_t s = 0; s < of.sequences(); ++s) rows.push_back(of.offsets[s + 1] - 1);
    return batch_logits(model, {&of}, hooks, rows, nullptr).cpu();
  }

  /// Loss and gradient of a batch as a training pass computes them.
  static std::pair<double, at::Tensor> loss_and_gradient(const Model& model, Adapter& adapter, Batch of,
                                                         bool recompute = false) {
    adapter.parameters->zero_gradients();
    adapter.method->layout(of);
    adapter.method->begin_step({1, 1});
    Context context{&of, true};
    context.recompute = recompute;
    const TargetLoss loss = batch_loss(model, context, *adapter.method);
    loss.loss.backward();
    adapter.method->end_backward();
    return {loss.loss.item<double>(), adapter.parameters->gradients().cpu().clone()};
  }

  TemporaryFolder folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::vector<Example> examples;
  Batch batch;

 private:
  Adapter started(at::ScalarType type) const {
    Adapter adapter = make_adapter(*the_case_.method, the_case_.make(), *checkpoint, type);
    adapter.method->initialise(*checkpoint, 11);
    return adapter;
  }

  ContractCase the_case_{};
};

}  // namespace lowrank::test
