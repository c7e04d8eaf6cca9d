#pragma once

#include <filesystem>
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
#include "peft/low_rank_form.h"
#include "peft/parameters.h"

namespace lowrank {

struct Adapter;

/// A tensor of the adapter file that repeats a parameter.
struct ParameterCopy {
  std::string name;  ///< key in the file
  std::string of;    ///< the parameter's
  bool transposed = false;
};

/// A tensor of the adapter file.
struct FileTensor {
  std::string name;
  at::Tensor value;
};

/// What a method trains on a model, from names and shapes alone.
struct TrainPlan {
  std::vector<ParameterSpec> parameters;
  std::vector<ParameterCopy> copies;
  std::map<std::string, Use> uses;   ///< base tensors that are not frozen, by name
  std::vector<std::string> targets;  ///< what is adapted, for people
  int64_t multiply_adds = 0;         ///< for a token, beside those of the base
  int64_t context_rows = 0;          ///< positions of the context that virtual tokens take in each sequence
};

/// What a training run leaves behind. Checkpoints within a run are adapters always.
enum class Output {
  adapter,            ///< the two files of `save_adapter`
  adapter_and_model,  ///< those, and the merged model
  model,              ///< the merged model alone: an adapter would be as large
};

/// Where a run stands.
struct StepInfo {
  int64_t step = 0;  ///< counted from 1
  int64_t total_steps = 0;
  double gradient_scale = 1;  ///< what the gradients are multiplied with for the optimizer
  uint64_t seed = 0;          ///< of the run
};

/// The two files of an adapter folder; as they are here, PEFT's.
struct AdapterFiles {
  std::string_view config = "adapter_config.json";
  std::string_view tensors = "adapter_model.safetensors";
  std::string_view base_key = "base_model_name_or_path";  ///< in the configuration: the base model's name
  bool peft = true;                                       ///< PEFT's common fields stand in the configuration
  std::string_view library = "peft";                      ///< that loads them; empty: this program alone does
};

/// Files in PEFT's form, of a type that it does not know.
inline constexpr AdapterFiles own_files{.library = ""};

/// A way of training with few parameters: one file under peft/methods. It overrides the hooks that it needs
/// and knows no model family. Life: make, set options (or `read_config`), `plan`, `bind`, `attach`, then
/// `initialise` or the values from a file.
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

  /// Why rows may not share the pass over what they begin with alike, for people; empty: they may, as long as
  /// the plan puts no virtual tokens in front of them.
  virtual std::string why_prompts_differ() const { return {}; }

  /// True when the model with the values of `initialise` computes what the base computes.
  virtual bool starts_from_base() const { return true; }

  /// True when `merged` changes this tensor.
  virtual bool merges(const TensorRef&) const { return false; }
  /// The tensor with the adapter in it, f32 in its shape; nothing where the method cannot be merged.
  virtual std::optional<at::Tensor> merged(const TensorRef&, const at::Tensor& /*value*/) const {
    return std::nullopt;
  }
  /// Why `merges` is true for no tensor, for people.
  virtual std::string why_not_merged() const { return "it changes no weight"; }
  /// True when a tied head and the embedding are still equal after merging.
  virtual bool keeps_tied_head() const { return false; }

  /// What `train` writes at the end.
  virtual Output output() const { return Output::adapter; }

  /// The adapter for files that hold low-rank updates of weights alone; after `plan`. The factors are
  /// undefined before `bind`.
  virtual LowRankForm low_rank_form() const {
    return {{}, {"parameters that are no low-rank updates of weights"}};
  }

  /// The names of the adapter's files.
  virtual AdapterFiles files() const { return {}; }
  /// The configuration as PEFT (or whoever reads `files`) writes it, for what `file_tensors` gives.
  virtual nlohmann::json config() const = 0;
  /// What is written beside it, from the tensors of the plan (parameters, then copies): those themselves, but
  /// for methods whose file has another form.
  virtual std::vector<FileTensor> file_tensors(std::vector<FileTensor> planned) const { return planned; }
  /// The tensor of that file which an encoder computes from parameters that the file lacks; they then stand
  /// in a file of their own (peft/encoder_state.h). Empty: there is no encoder.
  virtual std::string_view encoded_tensor() const { return {}; }
  /// Before `plan`: the encoder's parameters are lost, so the encoded tensor is itself what trains.
  virtual void drop_encoder() {}
  /// Writes what the adapter needs beside its two files; `base` is the base model's name. Errors: io,
  /// invalid.
  virtual void save_beside(const std::filesystem::path& /*folder*/, const std::string& /*base*/) const {}
  /// The adapters that this one is made of, each with a folder of its own; nullptr: it is one itself.
  virtual const std::vector<Adapter>* parts() const { return nullptr; }
  /// The options from such a file. Errors: unsupported or invalid, all fields that cannot be honoured at
  /// once.
  virtual void read_config(const nlohmann::json& config, const std::string& where) = 0;
};

/// Options that a method is checked with, beside its default ones.
struct OptionExample {
  std::string_view name;     ///< what is special about them, one word: letters, digits and underscores
  std::string_view options;  ///< a JSON object with keys of `fields`; fits every family
};

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
