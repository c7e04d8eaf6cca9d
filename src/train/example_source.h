#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "data/order/early_order.h"
#include "data/order/weighted_examples.h"
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
  bool compared = false;  ///< examples are rows of texts that are compared
};

/// The examples of a data set, in an order that is derived from (seed, epoch) and drawn once per epoch. Where
/// micro-batches hold a number of tokens, passes differ in length, since each has another order. Where some
/// rows of the data are no examples, the order is one of all rows, and batches are filled with those that are
/// (unless examples are weighted, grouped or counted by tokens): so it is known before the rows are read,
/// and the first epoch can begin meanwhile. Steps are the same for any number of ranks: each gets every N-th
/// of a step's micro-batches or, where there are fewer of them than ranks, a part of the step's rows.
class ExampleSource final : public BatchSource {
 public:
  /// Options used: batch_size, tokens_per_batch, grad_accum, seed, shuffle, group_prompts and ranks. Errors:
  /// invalid if there are no examples, or a weight leaves none of a source; as TrainOptions::check_batches.
  ExampleSource(WeightedExamples examples, const TrainOptions& options, BatchLayout layout);

  /// While rows are still being read, nothing is known of it. Errors: as EarlyExamples::whole.
  std::optional<int64_t> steps_per_epoch() const override;
  std::optional<int64_t> steps_in(int64_t epoch) override;
  /// While rows are still being read, the batches' examples are numbered as rows. Errors: as
  /// EarlyExamples::wait.
  StepBatches batches(int64_t step) override;
  /// Waits until all rows are read. Errors: as EarlyExamples::wait.
  void finish();

 private:
  /// Where a step lies: in which pass, and which of its steps it is.
  struct StepPlace {
    int64_t epoch = 0, step = 0;
  };
  void use_all();
  void take_over(const WeightedExamples& whole);
  std::optional<StepBatches> early_batches(int64_t step);
  StepPlace place_of(int64_t step);
  void draw_order(int64_t epoch);
  void leave_out_rows();
  int64_t batch_count() const;
  std::span<const int64_t> rows_of(int64_t batch) const;
  int64_t rows_a_step() const { return options_.rows_per_batch() * options_.grad_accum; }
  Batch batch_of(std::span<const Example> examples, std::span<const int64_t> numbers, int64_t& tokens) const;
  StepBatches all_of(int64_t first, int64_t last) const;
  StepBatches share_of(int64_t first, int64_t last) const;

  WeightedExamples examples_;
  TrainOptions options_;
  BatchLayout layout_;
  std::optional<EarlyOrder> early_order_;  ///< while rows are being read
  int64_t early_step_ = 0;                 ///< the next of `early_order_`
  bool began_early_ = false;
  int64_t epoch_size_ = 0;
  std::optional<ExampleNumbers> numbers_;  ///< where rows are left out of the order
  std::vector<int64_t> groups_;            ///< prompt group of each example; empty: no grouping
  std::vector<int32_t> lengths_;           ///< tokens of each example, where they are counted
  std::vector<int64_t> epoch_ends_;  ///< steps until the end of each pass so far, where they are counted
  std::vector<int64_t> order_;       ///< of `order_epoch_`
  std::vector<int64_t> batch_ends_;  ///< in `order_`, where tokens are counted
  std::vector<int64_t> passed_;      ///< rows in the order up to each step's end, where rows are left out
  int64_t order_epoch_ = -1;
};

/// Size of the micro-batch (of compared texts the part of `most_texts`) with the most rows after the method's
/// layout, within the first epoch (at most its
/// first thousand steps, at most `total_steps`, and no more once they have `most_tokens`).
BatchSize largest_batch(BatchSource& source, const Method& method, int64_t total_steps,
                        int64_t most_tokens = std::numeric_limits<int64_t>::max(),
                        int64_t most_texts = std::numeric_limits<int64_t>::max());

}  // namespace lowrank
