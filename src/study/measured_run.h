#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "data/order/weighted_examples.h"
#include "train/evaluate.h"
#include "train/trainer.h"

namespace lowrank {

/// The result of a run that writes no files.
struct MeasuredRun {
  Evaluation evaluation;  ///< after the last step
  double seconds = 0;     ///< of the steps
  int64_t steps = 0, tokens = 0;
};

/// The evaluation before any step, of an adapter whose values are those of `initialise`.
Evaluation evaluate_at_start(const Model& model, Adapter& adapter, const ExampleStore& evaluation,
                             const TrainOptions& options);

/// Trains an initialised adapter to the end and evaluates it once; nothing is written. Errors: as
/// Trainer::step; interrupted.
MeasuredRun measured_run(const Model& model, Adapter& adapter, const WeightedExamples& train,
                         const ExampleStore& evaluation, const TrainOptions& options,
                         const std::function<void(const StepResult&, int64_t total)>& after_step);

}  // namespace lowrank
