#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "data/order/weighted_examples.h"
#include "train/evaluate.h"
#include "train/state.h"
#include "train/trainer.h"

namespace lowrank {

/// Where a run leaves its results and goes on from.
struct RunFolder {
  std::filesystem::path output;
  std::string base;                   ///< the base model's name in adapter_config.json
  std::filesystem::path resume = {};  ///< checkpoint folder to resume from; empty: a new run
};

/// What is called while a run goes on; any may be empty.
struct RunCallbacks {
  std::function<void(const StepResult&, int64_t total)> after_step = {};
  std::function<void(int64_t step, const Evaluation&)> after_evaluation = {};
  std::function<void(const std::string&)> profile_line = {};  ///< once per line, at the end
  std::function<void(int64_t step)> sample = {};  ///< before the first step, every `sample_every`, at the end
  int64_t sample_every = 0;
  std::function<void()> after_save = {};  ///< after each save of an adapter to the output
  /// What the run's numbers depend on (train/run_identity.h); called for each checkpoint.
  std::function<nlohmann::json()> identity = {};
};

/// Trains to the end, or until `early_stop` evaluations in a row have not lowered the loss: metrics.jsonl
/// gets one object per step and one per evaluation, a checkpoint is written every `save_every` steps (the
/// newest `keep` stay), and the output folder ends up with the adapter of the best evaluation (of the last
/// step if nothing is evaluated). An initialised adapter that resumes from a checkpoint of the same run ends
/// bit-identical to one that was never stopped, and so do its records, whose first part is taken from the
/// folder that holds the checkpoint. Of several ranks the first one writes, and all return. Errors: as
/// Trainer::step and Trainer::set_state; interrupted, after the state was saved as a checkpoint; io; invalid
/// if a folder with a checkpoint's name is not empty.
RunResult run_training(const Model& model, Adapter& adapter, const WeightedExamples& train,
                       const ExampleStore& evaluation, const TrainOptions& options, const RunFolder& folder,
                       const RunCallbacks& callbacks = {});

}  // namespace lowrank
