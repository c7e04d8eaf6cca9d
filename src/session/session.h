#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"
#include "model/checkpoint.h"
#include "model/registry.h"
#include "peft/bank/adapter_bank.h"
#include "peft/bank/inference_hooks.h"
#include "peft/files/adapter_file.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

/// Help text of `adapter`.
inline constexpr const char* adapter_help = "adapter folder (PEFT, mlx-lm) or GGUF LoRA (FILE.gguf)";

/// Options of every command that runs a model.
struct SessionOptions {
  std::string model;
  std::string dtype = "auto";
  std::string device = "auto";
  std::string base_memory = "auto", base_format = "own";
  int64_t threads = 0;

  std::vector<Field> fields();
};

/// Opens the model's files. Errors: as Checkpoint::open; a missing `model`.
std::shared_ptr<const Checkpoint> open_model(const SessionOptions& options,
                                             const std::optional<LabelSet>& labels = std::nullopt);

/// Checkpoint::open and load_adapter, with their notes logged as warnings.
std::shared_ptr<const Checkpoint> open_told(const std::string& path,
                                            const std::optional<LabelSet>& labels = std::nullopt);
Adapter load_told_adapter(const std::string& path, const Checkpoint& checkpoint);
/// The adapter where the options say that the model computes. Errors: as load_adapter and device_named.
Adapter load_running_adapter(const std::string& path, const Checkpoint& checkpoint,
                             const SessionOptions& options);

/// How the options ask for weights to be held in memory, and where. Errors: as device_named; unsupported for
/// a `base_memory` that the device has not.
LoadOptions load_options(const SessionOptions& options);

/// Loads the weights for an adapter's plan (or plainly, without one). `rows_elsewhere`: as
/// LoadOptions::rows_elsewhere. Errors: unsupported device or type.
std::unique_ptr<Model> load_model(const std::shared_ptr<const Checkpoint>& checkpoint,
                                  const SessionOptions& options, const TrainPlan* plan, bool training,
                                  std::function<RowSource(const TensorRef&)> rows_elsewhere = nullptr);

/// A model that is ready to run, with the hooks of an adapter or without. What it refers to must outlive it.
struct RunningModel {
  const Checkpoint& checkpoint;
  const Model& model;
  InferenceHooks hooks;
  int64_t room = 0;  ///< most tokens of a text: the model's context minus an adapter's virtual tokens
  /// The number of the adapter that a row names; empty: rows name none.
  std::function<int64_t(const std::string&)> adapter_number = {};
  std::string adapter_path = {};  ///< of the only adapter, whose folder may hold a chat template
};

/// A model in use: plain, with an adapter, or with several that rows choose from.
struct OpenSession {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::optional<Adapter> adapter;
  std::unique_ptr<AdapterBank> bank;
  std::unique_ptr<Model> model;
  InferenceHooks ready;      ///< of the adapter or the bank, if any
  std::string adapter_path;  ///< of the only adapter

  /// Most tokens that a text may have: the model's context minus an adapter's virtual tokens.
  int64_t room() const {
    return checkpoint->spec().max_positions - (bank      ? bank->context_rows()
                                               : adapter ? adapter->plan.context_rows
                                                         : 0);
  }
  const InferenceHooks& hooks() const { return ready; }
  /// Maps the adapter's name in a row to its number; nullptr if there is no bank.
  std::function<int64_t(const std::string&)> adapter_number() const;
  RunningModel running() const {
    return {*checkpoint, *model, ready, room(), adapter_number(), adapter_path};
  }
};

/// Errors: as open_model and load_adapter. `adapter` may be empty.
OpenSession open_session(const SessionOptions& options, const std::string& adapter);

/// The same with any number of adapters: a single folder is for all rows; adapters given as NAME=FOLDER make
/// a bank. Errors: also invalid for several without names, and as AdapterBank::add.
OpenSession open_session(const SessionOptions& options, const std::vector<std::string>& adapters);

/// The path in an `adapter` that is given as NAME=FOLDER or as a folder alone.
std::string adapter_path(const std::string& given);

/// Help text of `adapter` where several can be given.
inline constexpr const char* adapters_help =
    "adapter folder (PEFT, mlx-lm) or GGUF LoRA (FILE.gguf); or several times NAME=FOLDER: each row names "
    "its adapter (\"adapter\": NAME, or base)";

}  // namespace lowrank
