#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "train/evaluate.h"
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
};

struct RunResult {
  int64_t steps = 0;
  double first_loss = 0, last_loss = 0;  ///< of training steps
  std::optional<double> best_eval_loss;
  int64_t best_step = 0;
  int64_t tokens = 0, target_tokens = 0;
  double seconds = 0;  ///< of all steps
};

/// Trains to the end: metrics.jsonl gets an object a step and one an evaluation, checkpoints come every
/// `save_every` steps, and the output folder ends with the adapter of the best evaluation (of the last step
/// where nothing is evaluated). Errors: as Trainer::step; interrupted, after the state was saved as a
/// checkpoint; io; invalid where a folder of a checkpoint's name holds something.
RunResult run_training(const Model& model, Adapter& adapter, std::span<const Example> train,
                       std::span<const Example> evaluation, const TrainOptions& options,
                       const RunPlaces& places);

}  // namespace lowrank
