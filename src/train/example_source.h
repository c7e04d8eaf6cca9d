#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "peft/adapter_file.h"
#include "text/dataset.h"
#include "train/batch_source.h"
#include "train/memory_estimate.h"
#include "train/options.h"

namespace lowrank {

/// Why rows of a micro-batch cannot share the pass over what they begin with alike, for people; empty: they
/// can.
std::string why_prompts_differ(const TrainOptions& options, const ModelSpec& spec, const Adapter& adapter);

/// How examples become batches.
struct BatchLayout {
  Task task = Task::causal_lm;
  bool share_prompts = false;  ///< what rows of a micro-batch begin with alike is laid down once
  int64_t most_shared = std::numeric_limits<int64_t>::max();  ///< tokens of an example that can share
};

/// Examples in memory, in an order that derives from (seed, epoch) and is drawn once an epoch.
class ExampleSource final : public BatchSource {
 public:
  /// The examples must outlive the source. Of the options: batch_size, grad_accum, seed, shuffle and
  /// group_prompts. Errors: invalid where there are no examples.
  ExampleSource(std::span<const Example> examples, const TrainOptions& options, BatchLayout layout);

  std::optional<int64_t> steps_per_epoch() const override { return steps_per_epoch_; }
  StepBatches batches(int64_t step) override;

 private:
  const std::vector<int64_t>& order_of(int64_t epoch);

  std::span<const Example> examples_;
  TrainOptions options_;
  BatchLayout layout_;
  int64_t steps_per_epoch_;
  std::vector<int64_t> groups_;  ///< of the examples by prompt; empty: rows come in any order
  std::vector<int64_t> order_;   ///< of `order_epoch_`
  int64_t order_epoch_ = -1;
};

/// The micro-batch with the most rows once the method has laid it out, of those of the first epoch (its first
/// thousand steps, of a run's `total_steps`).
BatchSize largest_batch(BatchSource& source, const Method& method, int64_t total_steps);

}  // namespace lowrank
