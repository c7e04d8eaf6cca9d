#include "train/example_source.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/one_line.h"
#include "data/batch_parts.h"
#include "data/training_batch.h"
#include "train/contrastive/text_batch.h"
#include "train/ranks/step_share.h"

namespace lowrank {

std::string prefix_sharing_blocker(const TrainOptions& options, const ModelSpec& spec,
                                   const Adapter& adapter) {
  if (!options.share_prompts) return "`share_prompts` is off";
  if (spec.task != Task::causal_lm) return "an encoder's rows see what follows them";
  if (adapter.plan.context_rows > 0) return "virtual tokens stand in front of each";
  return adapter.method->prefix_sharing_blocker();
}

namespace {

/// The share of a pass that is over once `passed` of its rows are: the full steps that they would be if none
/// were left out, of the steps of all. Steps then count as they do where all rows are examples.
double pass_share(int64_t passed, int64_t rows, int64_t rows_a_step) {
  const int64_t steps = (rows + rows_a_step - 1) / rows_a_step;
  return static_cast<double>(passed == rows ? steps : passed / rows_a_step) / static_cast<double>(steps);
}

}  // namespace

ExampleSource::ExampleSource(WeightedExamples examples, const TrainOptions& options, BatchLayout layout)
    : examples_(std::move(examples)), options_(options), layout_(layout) {
  options_.check_batches();
  if (examples_.early)
    early_order_.emplace(examples_.early, static_cast<uint64_t>(options_.seed), options_.shuffle);
  else
    use_all();
}

void ExampleSource::use_all() {
  epoch_size_ = examples_.epoch_size();
  check(!examples_.examples.empty(), ErrorKind::invalid, "there are no rows to train on");
  for (const SourceShare& source : examples_.sources) {
    check(source.count == 0 || source.taken() > 0, ErrorKind::invalid,
          "`data`: the weight {:g} leaves none of {}; give a larger one", source.weight,
          counted(source.count, "example"));
  }
  if (options_.group_prompts) groups_ = prompt_groups(examples_.examples);
  if (options_.tokens_per_batch) lengths_ = examples_.examples.lengths();
  const bool by_rows = !is_weighted(examples_.sources) && groups_.empty() && !options_.tokens_per_batch;
  if (by_rows && !examples_.left_out.empty()) numbers_.emplace(examples_.left_out, examples_.rows());
}

void ExampleSource::take_over(const WeightedExamples& whole) {
  // It belongs to the object that is let go of here.
  WeightedExamples all = whole;
  early_order_.reset();
  examples_ = std::move(all);
  began_early_ = true;
  use_all();
}

void ExampleSource::finish() {
  if (examples_.early) take_over(examples_.early->wait());
}

std::optional<StepBatches> ExampleSource::early_batches(int64_t step) try {
  if (step < early_step_) {
    early_order_->rewind();
    early_step_ = 0;
  }
  EarlyOrder::Taken taken;
  for (; early_step_ <= step; ++early_step_) taken = early_order_->take(rows_a_step());
  if (taken.rows.empty()) return std::nullopt;
  StepBatches found;
  const std::span<const Example> examples = taken.examples;
  const std::span<const int64_t> rows = taken.rows;
  for (size_t begin = 0; begin < rows.size();) {
    const size_t count = std::min(static_cast<size_t>(options_.rows_per_batch()), rows.size() - begin);
    found.batches.push_back(
        batch_of(examples.subspan(begin, count), rows.subspan(begin, count), found.tokens));
    begin += count;
  }
  found.epoch = pass_share(taken.passed, examples_.rows(), rows_a_step());
  return found;
} catch (const Error& error) {
  if (error.kind() == ErrorKind::interrupted) throw;
  return std::nullopt;  // what reads all rows says it
}

void ExampleSource::draw_order(int64_t epoch) {
  if (epoch == order_epoch_) return;
  const auto seed = static_cast<uint64_t>(options_.seed);
  std::vector<int64_t> drawn, groups;
  if (is_weighted(examples_.sources)) {
    drawn = epoch_draws(examples_.sources, seed, epoch, options_.shuffle);
    if (!groups_.empty()) {
      for (const int64_t example : drawn) groups.push_back(groups_[example]);
    }
  }
  const std::vector<int64_t>& grouped = drawn.empty() ? groups_ : groups;
  order_ = groups_.empty()
               ? epoch_order(numbers_ ? examples_.rows() : epoch_size_, seed, epoch, options_.shuffle)
               : grouped_epoch_order(grouped, seed, epoch, options_.shuffle);
  if (numbers_) leave_out_rows();
  if (!drawn.empty()) {
    for (int64_t& place : order_) place = drawn[place];
  }
  if (options_.tokens_per_batch) batch_ends_ = token_batches(order_, lengths_, *options_.tokens_per_batch);
  order_epoch_ = epoch;
}

void ExampleSource::leave_out_rows() {
  const int64_t rows = std::ssize(order_);
  int64_t kept = 0;
  passed_.clear();
  for (int64_t passed = 1; passed <= rows; ++passed) {
    const std::optional<int64_t> example = numbers_->of(order_[passed - 1]);
    if (!example) continue;
    order_[kept++] = *example;
    if (kept % rows_a_step() == 0 || kept == epoch_size_) passed_.push_back(passed);
  }
  order_.resize(kept);
  passed_.back() = rows;
}

std::optional<int64_t> ExampleSource::steps_per_epoch() const {
  if (options_.tokens_per_batch) return std::nullopt;
  const WeightedExamples* whole = examples_.early ? examples_.early->whole() : &examples_;
  if (!whole) return std::nullopt;
  return (whole->epoch_size() + rows_a_step() - 1) / rows_a_step();
}

std::optional<int64_t> ExampleSource::steps_in(int64_t epoch) {
  if (!options_.tokens_per_batch) return steps_per_epoch();
  while (std::ssize(epoch_ends_) <= epoch) {
    draw_order(std::ssize(epoch_ends_));
    const int64_t steps = (std::ssize(batch_ends_) + options_.grad_accum - 1) / options_.grad_accum;
    epoch_ends_.push_back((epoch_ends_.empty() ? 0 : epoch_ends_.back()) + steps);
  }
  return epoch_ends_[epoch] - (epoch == 0 ? 0 : epoch_ends_[epoch - 1]);
}

ExampleSource::StepPlace ExampleSource::place_of(int64_t step) {
  if (const std::optional<int64_t> steps = steps_per_epoch()) return {step / *steps, step % *steps};
  while (epoch_ends_.empty() || epoch_ends_.back() <= step) steps_in(std::ssize(epoch_ends_));
  const auto end = std::ranges::upper_bound(epoch_ends_, step);
  return {end - epoch_ends_.begin(), end == epoch_ends_.begin() ? step : step - *(end - 1)};
}

int64_t ExampleSource::batch_count() const {
  if (options_.tokens_per_batch) return std::ssize(batch_ends_);
  return (epoch_size_ + options_.rows_per_batch() - 1) / options_.rows_per_batch();
}

std::span<const int64_t> ExampleSource::rows_of(int64_t batch) const {
  const std::span<const int64_t> order = order_;
  if (options_.tokens_per_batch) {
    const int64_t begin = batch == 0 ? 0 : batch_ends_[batch - 1];
    return order.subspan(begin, batch_ends_[batch] - begin);
  }
  const int64_t begin = batch * options_.rows_per_batch();
  return order.subspan(begin, std::min(options_.rows_per_batch(), std::ssize(order) - begin));
}

Batch ExampleSource::batch_of(std::span<const Example> examples, std::span<const int64_t> numbers,
                              int64_t& tokens) const {
  for (const Example& example : examples) tokens += std::ssize(example.tokens);
  if (layout_.compared) return make_text_batch(examples, numbers);
  std::vector<int64_t> all(examples.size());
  std::iota(all.begin(), all.end(), 0);
  Batch batch = layout_.task == Task::causal_lm
                    ? make_training_batch(examples, all, layout_.share_prompts, layout_.most_shared)
                    : make_batch(examples, all);
  renumber(batch, numbers);
  return batch;
}

StepBatches ExampleSource::all_of(int64_t first, int64_t last) const {
  StepBatches found;
  for (int64_t batch = first; batch < last; ++batch) {
    const std::span<const int64_t> rows = rows_of(batch);
    found.batches.push_back(batch_of(examples_.examples.at(rows), rows, found.tokens));
  }
  return found;
}

StepBatches ExampleSource::share_of(int64_t first, int64_t last) const {
  const RankGroup& ranks = *options_.ranks;
  StepBatches found;
  if (options_.grad_accum >= ranks.size()) {
    found.numbers = batches_of_rank(last - first, ranks.rank(), ranks.size());
    for (const int64_t batch : found.numbers) {
      const std::span<const int64_t> rows = rows_of(first + batch);
      found.batches.push_back(batch_of(examples_.examples.at(rows), rows, found.tokens));
    }
    return found;
  }
  if (layout_.compared) {
    found = all_of(first, last);
    found.divided_texts = true;
    if (!ranks.leads()) found.tokens = 0;
    return found;
  }
  const std::span<const int64_t> begin = rows_of(first), end = rows_of(last - 1);
  const std::span<const int64_t> rows(begin.data(), end.data() + end.size());
  const std::vector<Example> examples = examples_.examples.at(rows);
  std::vector<int64_t> lengths;
  lengths.reserve(examples.size());
  for (const Example& example : examples) lengths.push_back(std::ssize(example.tokens));
  const RowRange own = rows_of_rank(lengths, ranks.rank(), ranks.size());
  if (own.begin == own.end) return found;
  found.numbers = {ranks.rank()};
  const auto count = static_cast<size_t>(own.end - own.begin), at = static_cast<size_t>(own.begin);
  found.batches.push_back(
      batch_of(std::span(examples).subspan(at, count), rows.subspan(at, count), found.tokens));
  return found;
}

StepBatches ExampleSource::batches(int64_t step) {
  if (examples_.early) {
    if (const WeightedExamples* whole = examples_.early->whole())
      take_over(*whole);
    else if (std::optional<StepBatches> found = early_batches(step))
      return std::move(*found);
    else
      finish();
  }
  const StepPlace place = place_of(step);
  draw_order(place.epoch);
  const int64_t first = place.step * options_.grad_accum;
  const int64_t last = std::min(batch_count(), first + options_.grad_accum);
  StepBatches found = options_.ranks ? share_of(first, last) : all_of(first, last);
  if (numbers_)
    found.epoch =
        static_cast<double>(place.epoch) + pass_share(passed_[place.step], examples_.rows(), rows_a_step());
  else if (began_early_)  // the run's plan may not know it
    found.epoch = static_cast<double>(step + 1) / static_cast<double>(*steps_per_epoch());
  return found;
}

BatchSize largest_batch(BatchSource& source, const Method& method, int64_t total_steps, int64_t most_tokens,
                        int64_t most_texts) {
  constexpr int64_t steps_looked_at = 1000;
  const int64_t steps =
      std::min({total_steps, source.steps_in(0).value_or(steps_looked_at), steps_looked_at});
  BatchSize largest;
  int64_t tokens = 0;
  for (int64_t step = 0; step < steps && tokens < most_tokens; ++step) {
    StepBatches found = source.batches(step);
    tokens += found.tokens;
    for (Batch& whole : found.batches) {
      std::vector<Batch> parts =
          has_text_groups(whole) ? text_parts(whole, most_texts) : std::vector{std::move(whole)};
      for (Batch& batch : parts) {
        method.layout(batch);
        if (batch.token_count() > largest.tokens) largest = {batch.token_count(), batch.targets.count()};
      }
    }
  }
  return largest;
}

}  // namespace lowrank
