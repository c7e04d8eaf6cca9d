#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "model/checkpoint.h"
#include "model/hooks.h"
#include "model/model.h"
#include "peft/parameters.h"

namespace lowrank {

/// What a method trains on a model, from names and shapes alone.
struct TrainPlan {
  std::vector<ParameterSpec> parameters;
  std::map<std::string, Use> uses;   ///< base tensors that are not frozen, by name
  std::vector<std::string> targets;  ///< what is adapted, for people
};

/// Where a run stands.
struct StepInfo {
  int64_t step = 0;  ///< counted from 1
  int64_t total_steps = 0;
};

/// A way of training with few parameters: one file under peft/methods. It overrides the hooks that it needs
/// and knows no model family. Life: make, set options (or `read_config`), `plan`, `bind`, `initialise` or the
/// values from a file.
struct Method : Hooks {
  /// The options, declared once: flags, keys of configuration files, defaults and help. The fields point into
  /// the method.
  virtual std::vector<Field> fields() = 0;

  /// What will be trained. Errors: invalid when nothing matches or options contradict each other.
  virtual TrainPlan plan(const ModelSpec& spec) = 0;

  /// Takes the parameters (those of `plan`) that the hooks will use.
  virtual void bind(const ParameterSet& parameters) = 0;

  /// Values at the start of a run, a function of the seed and, for some methods, of the base.
  virtual void initialise(const Checkpoint& base, uint64_t seed) = 0;

  /// Builds generated tensors and hands them out as detached leaves; once a step, before the first
  /// micro-batch.
  virtual void begin_step(const StepInfo&) {}
  /// Carries the leaves' gradients on to the parameters; once a step, after the last backward pass.
  virtual void end_backward() {}
  /// After the optimizer; gradients are still those of the step.
  virtual void after_step(const StepInfo&) {}
  /// Added to the loss once a step, not divided by target tokens; undefined: nothing.
  virtual at::Tensor regularizer() { return {}; }

  /// True when `merged` may change this module's weight.
  virtual bool merges(const Module&) const { return false; }
  /// The weight with the adapter in it, f32 [out, in]; nothing where the method cannot be merged.
  virtual std::optional<at::Tensor> merged(const Module&, const at::Tensor& /*weight*/) const {
    return std::nullopt;
  }

  /// adapter_config.json as PEFT writes it.
  virtual nlohmann::json config() const = 0;
  /// The options from such a file. Errors: unsupported or invalid, all fields that cannot be honoured at
  /// once.
  virtual void read_config(const nlohmann::json& config, const std::string& where) = 0;
};

/// A method's entry: its file ends in `extern const MethodInfo <file>_method`.
struct MethodInfo {
  std::string_view name;
  std::string_view paper;
  std::string_view summary;
  double default_learning_rate;
  std::unique_ptr<Method> (*make)();
  /// True when an adapter_config.json is this method's.
  bool (*reads)(const nlohmann::json& config);
};

}  // namespace lowrank
