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
#include "peft/core/adapter_form.h"
#include "peft/core/low_rank_form.h"
#include "peft/core/parameters.h"

namespace lowrank {

class TrainedTensors;

/// A tensor of the adapter file that is a copy of a parameter.
struct ParameterCopy {
  std::string name;  ///< key in the file
  std::string of;    ///< the parameter's name
  bool transposed = false;
};

/// What a method trains on a model, known from names and shapes alone.
struct TrainPlan {
  std::vector<ParameterSpec> parameters;
  std::vector<ParameterCopy> copies;
  std::map<std::string, TensorUse> uses;  ///< base tensors that are not frozen, by name
  std::vector<std::string> targets;       ///< what is adapted, for messages
  int64_t macs_per_token = 0;             ///< per token, beyond those of the base
  int64_t kept_values = 0;  ///< per token, beyond those of the base: f32 values that the backward pass reads
  int64_t resolved_values = 0;  ///< f32 values computed from the parameters once per step
  int64_t stacked_values = 0;   ///< f32 values of factors that are also kept in the layout of their kernel
  int64_t context_rows = 0;     ///< context positions that virtual tokens take in each sequence
};

/// The current step of a run.
struct StepInfo {
  int64_t step = 0;  ///< counted from 1
  int64_t total_steps = 0;
  double gradient_scale = 1;  ///< factor on the gradients before the optimizer
  uint64_t seed = 0;          ///< of the run
};

/// A parameter-efficient training method: one file under peft/methods. A method has three roles, in each of
/// which it overrides what it needs: `Hooks` in the forward pass, `Method` before and around the steps,
/// `AdapterForm` on disk. It is independent of the model family. Life cycle: make, set options (or
/// `AdapterForm::read_config`), `plan`, `bind`, `read_base`, then `initialise` or values from a file.
struct Method : Hooks {
  /// The options, declared once: flags, keys of configuration files, defaults and help. The fields point into
  /// the method.
  virtual std::vector<Field> fields() = 0;

  /// What will be trained. Errors: invalid when nothing matches or options contradict each other.
  virtual TrainPlan plan(const ModelSpec& spec) = 0;

  /// Takes the parameters (those of `plan`) that the hooks will use; again with their copies when they move
  /// to another device.
  virtual void bind(const ParameterSet& parameters) = 0;

  /// Takes what the hooks need of the base's values, to where the parameters are; after each `bind`.
  virtual void read_base(const Checkpoint& /*base*/) {}

  /// Sets the initial values of a run, a function of the seed and, for some methods, of the base.
  virtual void initialise(const Checkpoint& base, uint64_t seed) = 0;

  /// Computes generated tensors and provides them as detached leaves; once per step, before the first
  /// micro-batch.
  virtual void begin_step(const StepInfo&) {}
  /// Propagates the leaves' gradients to the parameters; once per step, after the last backward pass.
  virtual void end_backward() {}
  /// Called after the optimizer's step; the gradients are still those of the step.
  virtual void after_step(const StepInfo&) {}
  /// Added to the loss once per step, not divided by target tokens; undefined: nothing.
  virtual at::Tensor regularizer() { return {}; }

  /// What later steps depend on besides the parameters' values and StepInfo (averages, removed ranks), by
  /// name, f32; it is saved with a run's state. After `bind`.
  virtual std::vector<FileTensor> state() const { return {}; }
  /// Restores what `state` returned, for the same method and plan.
  virtual void set_state(const std::vector<FileTensor>& /*state*/) {}

  /// The modules that `patches` acts on; after `plan`. `macs_per_token`, whether prefixes may be shared,
  /// merging and the low-rank form follow from the patches (peft/core/from_patches.h), which can be queried
  /// before `bind` for shapes alone; a method overrides them only for effects other than patches.
  virtual std::vector<const Module*> adapted() const { return {}; }
  /// False if the method acts only through `patches`, `embed` and `weight`.
  virtual bool acts_between_layers() const { return true; }
  /// The base tensors trained in full beside the method's own parameters; nullptr: none.
  virtual const TrainedTensors* trained_beside() const { return nullptr; }
  /// The value of a tensor that is trained in full. Errors: invalid for any other.
  at::Tensor weight(const Context& context, const TensorRef& tensor) const override;

  /// Reason (for messages) that the pass over a shared prefix cannot be shared; empty if it can, provided the
  /// plan puts no virtual tokens in front.
  virtual std::string prefix_sharing_blocker() const;

  /// True when the model with the values of `initialise` computes what the base computes.
  virtual bool starts_from_base() const { return true; }

  /// True when `merged` changes this tensor.
  virtual bool merges(const TensorRef& tensor) const;
  /// The tensor with the adapter merged in, f32 in its shape; nothing if the method cannot be merged.
  virtual std::optional<at::Tensor> merged(const TensorRef& tensor, const at::Tensor& value) const;
  /// Reason (for messages) that `merges` is true for no tensor.
  virtual std::string why_not_merged() const { return "it changes no weight that the model has"; }
  /// The inverse of `merged`: the tensor before merging, f32, from its merged value; nothing if it cannot be
  /// computed. Errors: invalid when these values cannot be inverted.
  virtual std::optional<at::Tensor> unmerged(const TensorRef& tensor, const at::Tensor& merged) const;
  /// Reason (for messages) that `unmerged` gives nothing.
  virtual std::string why_not_unmerged() const;
  /// True when a tied head and the embedding are still equal after merging.
  virtual bool keeps_tied_head() const { return false; }

  /// The adapter as low-rank updates, for files that can hold nothing else; after `plan`. The factors have no
  /// values before `bind`.
  virtual LowRankForm low_rank_form() const;

  /// How adapters of this method are stored on disk.
  virtual AdapterForm& form() = 0;
  virtual const AdapterForm& form() const = 0;
};

/// Options that a method is tested with, besides the defaults.
struct OptionExample {
  std::string_view name;     ///< what they test, one word: letters, digits and underscores
  std::string_view options;  ///< a JSON object with keys of `fields`; valid for every family
};

/// A string that can be a template argument.
template <size_t size>
struct TemplateText {
  char text[size];
  consteval TemplateText(const char (&given)[size]) { std::copy_n(given, size, text); }
};

/// `MethodInfo::reads` of the only method with this peft_type: `reads_type<"VERA">`.
template <TemplateText type>
bool reads_type(const nlohmann::json& config) {
  return config.value("peft_type", "") == type.text;
}

/// The name of an example used in place of the default options if those do not fit a tiny model.
inline constexpr std::string_view small_example = "small";

/// A method's registry entry: its file ends in `extern const MethodInfo <file>_method`.
struct MethodInfo {
  std::string_view name;
  std::string_view paper;
  std::string_view summary;
  double default_learning_rate;
  std::unique_ptr<Method> (*make)();
  /// True when a configuration is this method's; nullptr: its files are another method's.
  bool (*reads)(const nlohmann::json& config);
  /// One for each effect that the options can have: initialisations, variants, what else is trained.
  std::span<const OptionExample> examples = {};
};

}  // namespace lowrank
