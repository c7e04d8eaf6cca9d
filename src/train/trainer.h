#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "kernels/operations/adamw.h"
#include "kernels/products/factor_stacks.h"
#include "model/model.h"
#include "peft/files/adapter_file.h"
#include "train/batch_source.h"
#include "train/contrastive/contrastive_options.h"
#include "train/objective.h"
#include "train/options.h"
#include "train/run_plan.h"
#include "train/schedule.h"
#include "train/state.h"

namespace lowrank {

/// What one step did.
struct StepResult {
  int64_t step = 0;  ///< counted from 1
  double epoch = 0;
  double loss = 0;  ///< the objective's, mean over the step's terms, before the update
  double grad_norm = 0;
  double learning_rate = 0;
  int64_t tokens = 0, target_tokens = 0;  ///< of the examples, however often they were computed; of compared
                                          ///< texts, `target_tokens` counts the texts
  double seconds = 0;
  Figures figures = {};  ///< what the objective reports besides the loss: means over the terms
};

/// Takes the steps of a run: the gradient of an objective's mean over all terms of a step (however it is
/// split into micro-batches), clipping, fused AdamW over the flat buffer. Where ranks share the steps, terms
/// are counted over all of them first, and their gradients summed before the update, which is the same on
/// all.
class Trainer {
 public:
  /// All but the options and the plan must outlive the trainer. Errors: as TrainOptions::check_smoothing.
  Trainer(const Model& model, Adapter& adapter, const TrainOptions& options, const RunPlan& plan);

  const RunPlan& plan() const { return plan_; }
  int64_t steps_done() const { return step_; }
  bool done() const { return step_ >= plan_.total_steps; }

  /// The next step, on these micro-batches. Errors: invalid when loss or gradient is not finite; parameters
  /// are then unchanged; io when another rank has ended.
  StepResult step(const StepBatches& batches, const Objective& objective);
  /// The next step, on batches of compared texts (train/contrastive/contrastive_step.h). Errors: as above.
  StepResult step(const StepBatches& batches, const ContrastiveRun& run);

  /// The two halves of a step whose gradient something else computes, from passes that it shares with others:
  /// `begin` clears the gradients, `finish` adds the method's regularizer to `result.loss`, which is then
  /// known, and updates the parameters. Errors of `finish`: as step.
  StepResult begin(const StepBatches& batches);
  void finish(StepResult& result);

  /// The trainer's current state; the tensors are its own, not copies. Records and identity are left to the
  /// caller.
  TrainState state() const;
  /// Continues from this state instead of from the start. The method must have been initialised as in that
  /// run. Errors: invalid when it is the state of other parameters or of another method.
  void set_state(const TrainState& state);

 private:
  using Backward = std::function<double(StepResult& result)>;
  /// A step whose loss and gradient `backward` computes.
  StepResult step(const StepBatches& batches, const Backward& backward);
  StepInfo info_of(const StepResult& result) const;
  uint64_t dropout_seed() const;
  double accumulate(const StepBatches& given, std::span<const Batch> laid_out, const Objective& objective,
                    StepResult& result);
  int64_t counted_over_ranks(int64_t terms, StepResult& result) const;
  void add_regularizer(StepResult& result);
  void sum_over_ranks(StepResult& result);
  double clip_factor(double norm) const;

  const Model& model_;
  Adapter& adapter_;
  TrainOptions options_;
  RunPlan plan_;
  Schedule schedule_;
  double learning_rate_;
  int64_t step_ = 0;
  at::Tensor m_, v_;            ///< AdamW's moments, [parameters]
  FactorStacks stacks_;         ///< of the current step
  int64_t largest_tokens_ = 0;  ///< of a micro-batch so far
};

}  // namespace lowrank
