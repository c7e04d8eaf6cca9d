#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "model/checkpoint.h"
#include "model/hooks.h"
#include "model/model.h"
#include "peft/adapter_form.h"
#include "peft/low_rank_form.h"
#include "peft/parameters.h"

namespace lowrank {

class TrainedTensors;

/// A tensor of the adapter file that repeats a parameter.
struct ParameterCopy {
  std::string name;  ///< key in the file
  std::string of;    ///< the parameter's
  bool transposed = false;
};

/// What a method trains on a model, from names and shapes alone.
struct TrainPlan {
  std::vector<ParameterSpec> parameters;
  std::vector<ParameterCopy> copies;
  std::map<std::string, Use> uses;   ///< base tensors that are not frozen, by name
  std::vector<std::string> targets;  ///< what is adapted, for people
  int64_t multiply_adds = 0;         ///< for a token, beside those of the base
  int64_t kept_values = 0;      ///< for a token, beside those of the base: f32 that the backward pass reads
  int64_t resolved_values = 0;  ///< f32 that are computed from the parameters once a step
  int64_t context_rows = 0;     ///< positions of the context that virtual tokens take in each sequence
};

/// Where a run stands.
struct StepInfo {
  int64_t step = 0;  ///< counted from 1
  int64_t total_steps = 0;
  double gradient_scale = 1;  ///< what the gradients are multiplied with for the optimizer
  uint64_t seed = 0;          ///< of the run
};

/// A way of training with few parameters: one file under peft/methods. A method has three roles, each of
/// which overrides what it needs: `Hooks` in the forward pass, `Method` before and around the steps,
/// `AdapterForm` on disk. It knows no model family. Life: make, set options (or `AdapterForm::read_config`),
/// `plan`, `bind`, `attach`, then `initialise` or the values from a file.
struct Method : Hooks {
  /// The options, declared once: flags, keys of configuration files, defaults and help. The fields point into
  /// the method.
  virtual std::vector<Field> fields() = 0;

  /// What will be trained. Errors: invalid when nothing matches or options contradict each other.
  virtual TrainPlan plan(const ModelSpec& spec) = 0;

  /// Takes the parameters (those of `plan`) that the hooks will use.
  virtual void bind(const ParameterSet& parameters) = 0;

  /// Takes what the hooks need of the base's own values; once, after `bind`.
  virtual void attach(const Checkpoint& /*base*/) {}

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

  /// What the steps to come depend on beside the parameters' values and what they are told (averages, ranks
  /// that were taken away), by name, f32: it is saved with a run's state. After `bind`.
  virtual std::vector<FileTensor> state() const { return {}; }
  /// Takes what `state` gave, of the same method on the same plan. Errors: corrupt for other tensors.
  virtual void set_state(const std::vector<FileTensor>& /*state*/) {}

  /// The modules that `patches` acts on; after `plan`. `multiply_adds`, whether prefixes may be shared,
  /// merging and the low-rank form follow from the patches (peft/from_patches.h), which can be asked before
  /// `bind` for shapes alone; a method overrides them only for what is no patch.
  virtual std::vector<const Module*> adapted() const { return {}; }
  /// False where the method acts through `patches`, `embed` and `weight` alone.
  virtual bool acts_between_layers() const { return true; }
  /// The base tensors that train whole beside what the method is about; nullptr: none do.
  virtual const TrainedTensors* trained_beside() const { return nullptr; }
  /// The value of a tensor that trains whole. Errors: invalid for any other.
  at::Tensor weight(const Context& context, const TensorRef& tensor) const override;

  /// Why rows may not share the pass over what they begin with alike, for people; empty: they may, as long as
  /// the plan puts no virtual tokens in front of them.
  virtual std::string why_prompts_differ() const;

  /// True when the model with the values of `initialise` computes what the base computes.
  virtual bool starts_from_base() const { return true; }

  /// True when `merged` changes this tensor.
  virtual bool merges(const TensorRef& tensor) const;
  /// The tensor with the adapter in it, f32 in its shape; nothing where the method cannot be merged.
  virtual std::optional<at::Tensor> merged(const TensorRef& tensor, const at::Tensor& value) const;
  /// Why `merges` is true for no tensor, for people.
  virtual std::string why_not_merged() const { return "it changes no weight that the model has"; }
  /// True when a tied head and the embedding are still equal after merging.
  virtual bool keeps_tied_head() const { return false; }

  /// The adapter for files that hold low-rank updates of weights alone; after `plan`. The factors are
  /// undefined before `bind`.
  virtual LowRankForm low_rank_form() const;

  /// How adapters of this method lie on disk.
  virtual AdapterForm& form() = 0;
  virtual const AdapterForm& form() const = 0;
};

/// Options that a method is checked with, beside its default ones.
struct OptionExample {
  std::string_view name;     ///< what is special about them, one word: letters, digits and underscores
  std::string_view options;  ///< a JSON object with keys of `fields`; fits every family
};

/// A text that can be a template's argument.
template <size_t size>
struct TemplateText {
  char text[size];
  consteval TemplateText(const char (&given)[size]) { std::copy_n(given, size, text); }
};

/// `MethodInfo::reads` of a method that alone has this peft_type: `reads_type<"VERA">`.
template <TemplateText type>
bool reads_type(const nlohmann::json& config) {
  return config.value("peft_type", "") == type.text;
}

/// The name of an example that stands for the default options, where those do not fit a tiny model.
inline constexpr std::string_view small_example = "small";

/// A method's entry: its file ends in `extern const MethodInfo <file>_method`.
struct MethodInfo {
  std::string_view name;
  std::string_view paper;
  std::string_view summary;
  double default_learning_rate;
  std::unique_ptr<Method> (*make)();
  /// True when a configuration is this method's; nullptr: its files are another method's.
  bool (*reads)(const nlohmann::json& config);
  /// One for each thing that the options can change: starts, variants, what else trains.
  std::span<const OptionExample> examples = {};
};

}  // namespace lowrank
