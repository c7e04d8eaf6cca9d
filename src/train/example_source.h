#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "peft/files/adapter_file.h"
#include "train/batch_source.h"
#include "train/memory_estimate.h"
#include "train/options.h"

namespace lowrank {

/// Reason (for messages) that the examples of a micro-batch cannot share prefixes; empty if they can.
std::string prefix_sharing_blocker(const TrainOptions& options, const ModelSpec& spec,
                                   const Adapter& adapter);

/// How examples become batches.
struct BatchLayout {
  Task task = Task::causal_lm;
  bool share_prompts = false;                                 ///< a micro-batch holds each shared prefix once
  int64_t most_shared = std::numeric_limits<int64_t>::max();  ///< longest example that can share
};

/// The examples of a data set, in an order that is derived from (seed, epoch) and drawn once per epoch.
class ExampleSource final : public BatchSource {
 public:
  /// Options used: batch_size, grad_accum, seed, shuffle and
  /// group_prompts. Errors: invalid if there are no examples.
  ExampleSource(ExampleStore examples, const TrainOptions& options, BatchLayout layout);

  std::optional<int64_t> steps_per_epoch() const override { return steps_per_epoch_; }
  StepBatches batches(int64_t step) override;

 private:
  const std::vector<int64_t>& order_of(int64_t epoch);

  ExampleStore examples_;
  TrainOptions options_;
  BatchLayout layout_;
  int64_t steps_per_epoch_;
  std::vector<int64_t> groups_;  ///< prompt group of each example; empty: no grouping
  std::vector<int64_t> order_;   ///< of `order_epoch_`
  int64_t order_epoch_ = -1;
};

/// Size of the micro-batch with the most rows after the method's layout, within the first epoch (at most its
/// first thousand steps, and at most `total_steps`).
BatchSize largest_batch(BatchSource& source, const Method& method, int64_t total_steps);

}  // namespace lowrank
