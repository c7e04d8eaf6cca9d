#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/products/factor_stacks.h"
#include "train/example_source.h"
#include "train/trainer.h"

namespace lowrank {

/// What a step was for one of several runs.
struct JointResult {
  StepResult step;
  std::string problem;  ///< why this run cannot go on, a sentence; empty: it can
};

/// Several runs on one base whose steps share their passes (peft/bank/adapter_group.h): a micro-batch of each
/// run is put into one batch, and the products with the frozen weights are computed once for the rows of all.
/// Each run has its own adapter, order of the rows, learning rate, gradient and optimizer, and computes what
/// it computes alone, up to rounding. Steps are faster where a run's own micro-batches are too small to keep
/// the processor busy (docs/comparing.md).
class JointSteps {
 public:
  /// The options of the runs may differ in `lr` and `seed`, and in `steps`. Model and adapters, for which
  /// `can_join_group` holds, must outlive the object. Errors: as ExampleTrainer.
  JointSteps(const Model& model, std::vector<Adapter*> adapters, const WeightedExamples& examples,
             const std::vector<TrainOptions>& options);

  int64_t total_steps(size_t run) const { return runs_[run]->trainer.plan().total_steps; }
  /// Whether the run is over, or cannot go on.
  bool done(size_t run) const { return runs_[run]->stopped || runs_[run]->trainer.done(); }

  /// The next step of those of `members` that are not done, in their order; the others' results have step 0.
  /// A step's `seconds` are the run's share of the time, by its tokens. Losses and gradients that are not
  /// finite stop their run alone.
  std::vector<JointResult> step(std::span<const size_t> members);

 private:
  struct Run {
    Run(const Model& model, Adapter& adapter, const WeightedExamples& examples, const TrainOptions& options);

    ExampleSource source;
    Trainer trainer;
    Adapter& adapter;
    bool stopped = false;
  };
  struct Part;

  void backward(std::vector<Part>& parts, size_t micro_batch);

  const Model& model_;
  TrainOptions options_;                    ///< those that all have
  std::vector<std::unique_ptr<Run>> runs_;  ///< sources and trainers stay where they are
  FactorStacks stacks_;
};

}  // namespace lowrank
