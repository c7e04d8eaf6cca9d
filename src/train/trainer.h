#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/adamw.h"
#include "model/model.h"
#include "peft/adapter_file.h"
#include "text/dataset.h"
#include "train/memory_estimate.h"
#include "train/options.h"
#include "train/schedule.h"
#include "train/state.h"

namespace lowrank {

/// What one step did.
struct StepResult {
  int64_t step = 0;  ///< counted from 1
  double epoch = 0;
  double loss = 0;  ///< mean over the step's target tokens, before the update
  double grad_norm = 0;
  double learning_rate = 0;
  int64_t tokens = 0, target_tokens = 0;  ///< of the rows, however often they were computed
  double seconds = 0;
};

/// Trains an adapter on a model: batches in an order that derives from (seed, epoch), the gradient of the
/// mean loss over all target tokens of a step whatever its micro-batches, clipping, fused AdamW over the flat
/// buffer.
class Trainer {
 public:
  /// All arguments must outlive the trainer.
  Trainer(const Model& model, Adapter& adapter, std::span<const Example> examples,
          const TrainOptions& options);

  int64_t total_steps() const { return schedule_.steps; }
  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  bool done() const { return state_.step >= total_steps(); }

  /// The next step. Errors: invalid when loss or gradient is not finite; parameters are then as before the
  /// step.
  StepResult step();

  /// Why rows do not share the pass over what they begin with alike, for people; empty: they do.
  const std::string& why_prompts_differ() const { return why_prompts_differ_; }

  /// The micro-batch with the most rows, of those of the first epoch (its first thousand steps).
  BatchSize largest_batch();

  const TrainState& state() const { return state_; }
  TrainState& state() { return state_; }

 private:
  std::string find_why_prompts_differ() const;
  /// The rows of an epoch in their order, drawn once an epoch.
  const std::vector<int64_t>& order_of(int64_t epoch);
  std::vector<int64_t> rows_of(int64_t step, std::span<const int64_t> order) const;
  Batch batch_of(std::span<const int64_t> rows) const;
  double accumulate(std::span<const Batch> batches, int64_t target_tokens);
  double clip_factor(double norm) const;

  const Model& model_;
  Adapter& adapter_;
  std::span<const Example> examples_;
  TrainOptions options_;
  Schedule schedule_;
  int64_t steps_per_epoch_;
  std::string why_prompts_differ_;
  std::vector<int64_t> groups_;  ///< of the examples by prompt; empty: rows come in any order
  std::vector<int64_t> order_;   ///< of `order_epoch_`
  int64_t order_epoch_ = -1;
  double learning_rate_;
  int64_t largest_rows_ = 0;  ///< of a micro-batch so far
  TrainState state_;
};

}  // namespace lowrank
