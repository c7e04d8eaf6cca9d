#pragma once

#include <string>

#include "train/example_source.h"
#include "train/trainer.h"

namespace lowrank {

/// A trainer set up as in `lowrank train`: a data set and the mean loss over their targets, or the loss of
/// their compared texts.
class ExampleTrainer {
 public:
  /// The model and the adapter must outlive the object. Errors: invalid if there are no examples.
  ExampleTrainer(const Model& model, Adapter& adapter, const WeightedExamples& examples,
                 const TrainOptions& options);

  /// The next step. Errors: as Trainer::step.
  StepResult step();

  /// Waits until all rows are read, where training began before. Errors: as EarlyExamples::wait.
  void finish_reading() { source_.finish(); }
  /// The run's plan, also with the length of a pass that was not known at its start.
  RunPlan plan() const;

  bool done() const { return trainer_.done(); }
  int64_t total_steps() const { return trainer_.plan().total_steps; }
  Trainer& trainer() { return trainer_; }
  const Trainer& trainer() const { return trainer_; }

 private:
  ExampleSource source_;
  MeanLoss objective_;
  std::optional<ContrastiveRun> contrastive_;  ///< in place of the objective
  Trainer trainer_;
};

/// How the examples of a run with this adapter become batches.
BatchLayout layout_of(const TrainOptions& options, const ModelSpec& spec, const Adapter& adapter);

}  // namespace lowrank
