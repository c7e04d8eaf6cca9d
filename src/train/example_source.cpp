#include "train/example_source.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "base/error.h"
#include "data/batch_parts.h"
#include "data/training_batch.h"

namespace lowrank {

std::string prefix_sharing_blocker(const TrainOptions& options, const ModelSpec& spec,
                                   const Adapter& adapter) {
  if (!options.share_prompts) return "`share_prompts` is off";
  if (spec.task != Task::causal_lm) return "an encoder's rows see what follows them";
  if (adapter.plan.context_rows > 0) return "virtual tokens stand in front of each";
  return adapter.method->prefix_sharing_blocker();
}

ExampleSource::ExampleSource(ExampleStore examples, const TrainOptions& options, BatchLayout layout)
    : examples_(std::move(examples)), options_(options), layout_(layout) {
  const auto count = std::ssize(examples_);
  check(count > 0, ErrorKind::invalid, "there are no rows to train on");
  const int64_t rows_a_step = options_.batch_size * options_.grad_accum;
  steps_per_epoch_ = (count + rows_a_step - 1) / rows_a_step;
  if (options_.group_prompts) groups_ = prompt_groups(examples_);
}

const std::vector<int64_t>& ExampleSource::order_of(int64_t epoch) {
  if (epoch == order_epoch_) return order_;
  const auto seed = static_cast<uint64_t>(options_.seed);
  order_ = groups_.empty() ? epoch_order(std::ssize(examples_), seed, epoch, options_.shuffle)
                           : grouped_epoch_order(groups_, seed, epoch, options_.shuffle);
  order_epoch_ = epoch;
  return order_;
}

StepBatches ExampleSource::batches(int64_t step) {
  const std::vector<int64_t>& order = order_of(step / steps_per_epoch_);
  const int64_t rows_a_step = options_.batch_size * options_.grad_accum;
  const int64_t first = step % steps_per_epoch_ * rows_a_step;
  const int64_t last = std::min(std::ssize(order), first + rows_a_step);
  StepBatches found;
  for (int64_t begin = first; begin < last; begin += options_.batch_size) {
    const std::span rows =
        std::span(order).subspan(begin, std::min<size_t>(options_.batch_size, last - begin));
    const std::vector<Example> examples = examples_.at(rows);
    std::vector<int64_t> all(examples.size());
    std::iota(all.begin(), all.end(), 0);
    found.batches.push_back(
        layout_.task == Task::causal_lm
            ? make_training_batch(examples, all, layout_.share_prompts, layout_.most_shared)
            : make_batch(examples, all));
    renumber(found.batches.back(), rows);
    for (const Example& example : examples) found.tokens += std::ssize(example.tokens);
  }
  return found;
}

BatchSize largest_batch(BatchSource& source, const Method& method, int64_t total_steps) {
  constexpr int64_t steps_looked_at = 1000;
  const int64_t steps =
      std::min({total_steps, source.steps_per_epoch().value_or(steps_looked_at), steps_looked_at});
  BatchSize largest;
  for (int64_t step = 0; step < steps; ++step) {
    StepBatches found = source.batches(step);
    for (Batch& batch : found.batches) {
      method.layout(batch);
      if (batch.token_count() > largest.tokens) largest = {batch.token_count(), batch.targets.count()};
    }
  }
  return largest;
}

}  // namespace lowrank
