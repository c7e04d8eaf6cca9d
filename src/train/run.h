#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "train/evaluate.h"
#include "train/state.h"
#include "train/trainer.h"

namespace lowrank {

/// Where a run leaves its results and what it tells.
struct RunPlaces {
  std::filesystem::path output;
  std::string base;                                                  ///< for adapter_config.json
  std::function<void(const StepResult&, int64_t total)> after_step;  ///< progress for people
  std::function<void(int64_t step, const Evaluation&)> after_evaluation;
  std::function<void(const std::string&)> tell_profile;  ///< a line each, at the end
  std::function<void()> after_save;                      ///< whenever `output` has got an adapter
  /// What the run's numbers depend on (train/run_identity.h), asked for before the first checkpoint.
  std::function<nlohmann::json()> identity;
  std::filesystem::path resume = {};  ///< the checkpoint's folder to go on from; empty: the run starts
};

/// Trains to the end: metrics.jsonl gets an object a step and one an evaluation, checkpoints come every
/// `save_every` steps (of which the newest `keep` stay), and the output folder ends with the adapter of the
/// best evaluation (of the last step where nothing is evaluated). An initialised adapter that goes on from a
/// checkpoint of the same run ends with the same bits as one that was not stopped, and so do its records,
/// whose first part is taken from the folder that holds the checkpoint. Errors: as Trainer::step and
/// Trainer::set_state; interrupted, after the state was saved as a checkpoint; io; invalid where a folder of
/// a checkpoint's name holds something.
RunResult run_training(const Model& model, Adapter& adapter, std::span<const Example> train,
                       std::span<const Example> evaluation, const TrainOptions& options,
                       const RunPlaces& places);

}  // namespace lowrank
