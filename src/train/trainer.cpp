#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros_like.h>

#include "base/error.h"
#include "base/process.h"
#include "base/rng.h"
#include "text/training_batch.h"

namespace lowrank {
namespace {

/// Stream of the run's seed for dropout masks.
constexpr uint64_t dropout_stream = 3;

std::vector<AdamWGroup> groups_of(const ParameterSet& parameters, double learning_rate, double weight_decay) {
  std::vector<AdamWGroup> groups;
  for (size_t i = 0; i < parameters.specs().size(); ++i) {
    const ParameterSpec& spec = parameters.specs()[i];
    const double rate = learning_rate * spec.learning_rate_scale;
    const double decay = spec.weight_decay ? weight_decay : 0;
    if (!groups.empty() && groups.back().learning_rate == rate && groups.back().weight_decay == decay) {
      groups.back().end = parameters.end(i);
    } else {
      groups.push_back({parameters.begin(i), parameters.end(i), rate, decay});
    }
  }
  return groups;
}

}  // namespace

Trainer::Trainer(const Model& model, Adapter& adapter, std::span<const Example> examples,
                 const TrainOptions& options)
    : model_(model),
      adapter_(adapter),
      examples_(examples),
      options_(options),
      learning_rate_(options.lr.value_or(adapter.info->default_learning_rate)) {
  const int64_t rows_a_step = options_.batch_size * options_.grad_accum;
  const auto count = static_cast<int64_t>(examples_.size());
  check(count > 0, ErrorKind::invalid, "there are no rows to train on");
  steps_per_epoch_ = (count + rows_a_step - 1) / rows_a_step;
  const auto by_epochs =
      static_cast<int64_t>(std::ceil(options_.epochs * static_cast<double>(steps_per_epoch_)));
  schedule_ = {options_.schedule, options_.warmup, options_.steps.value_or(by_epochs)};
  why_prompts_differ_ = find_why_prompts_differ();
  if (options_.group_prompts) groups_ = prompt_groups(examples_);
  at::Tensor& values = adapter_.parameters->values();
  state_ = {
      0, values, at::zeros_like(values), at::zeros_like(values), std::numeric_limits<double>::quiet_NaN(), 0};
}

std::string Trainer::find_why_prompts_differ() const {
  if (!options_.share_prompts) return "--no-share-prompts";
  if (model_.spec().task != Task::causal_lm) return "an encoder's rows see what follows them";
  if (adapter_.plan.context_rows > 0) return "virtual tokens stand in front of each";
  return adapter_.method->why_prompts_differ();
}

Batch Trainer::batch_of(std::span<const int64_t> rows) const {
  return model_.spec().task == Task::causal_lm
             ? make_training_batch(examples_, rows, why_prompts_differ_.empty(),
                                   model_.spec().fixed_positions - adapter_.plan.context_rows)
             : make_batch(examples_, rows);
}

const std::vector<int64_t>& Trainer::order_of(int64_t epoch) {
  if (epoch == order_epoch_) return order_;
  const auto seed = static_cast<uint64_t>(options_.seed);
  order_ = groups_.empty() ? epoch_order(std::ssize(examples_), seed, epoch, options_.shuffle)
                           : grouped_epoch_order(groups_, seed, epoch, options_.shuffle);
  order_epoch_ = epoch;
  return order_;
}

std::vector<int64_t> Trainer::rows_of(int64_t step, std::span<const int64_t> order) const {
  const int64_t rows_a_step = options_.batch_size * options_.grad_accum;
  const int64_t begin = step % steps_per_epoch_ * rows_a_step;
  return {order.begin() + begin, order.begin() + std::min(std::ssize(order), begin + rows_a_step)};
}

BatchSize Trainer::largest_batch() {
  constexpr int64_t steps_looked_at = 1000;
  BatchSize largest;
  const std::vector<int64_t>& order = order_of(0);
  for (int64_t step = 0; step < std::min({total_steps(), steps_per_epoch_, steps_looked_at}); ++step) {
    const std::vector<int64_t> rows = rows_of(step, order);
    for (size_t begin = 0; begin < rows.size(); begin += options_.batch_size) {
      const size_t size = std::min<size_t>(options_.batch_size, rows.size() - begin);
      Batch batch = batch_of(std::span(rows).subspan(begin, size));
      adapter_.method->layout(batch);
      if (batch.rows() > largest.rows) largest = {batch.rows(), batch.targets.count()};
    }
  }
  return largest;
}

double Trainer::accumulate(std::span<const Batch> batches, int64_t target_tokens) {
  double loss = 0;
  const auto share = 1 / static_cast<double>(target_tokens);
  for (size_t i = 0; i < batches.size(); ++i) {
    Context context{&batches[i], true};
    context.dropout_seed = derive_seed(derive_seed(static_cast<uint64_t>(options_.seed), dropout_stream),
                                       static_cast<uint64_t>(state_.step), i);
    context.recompute = options_.gradient_checkpointing;
    // What smaller batches left free lies in pieces too small for those of a larger one.
    if (largest_rows_ > 0 && batches[i].rows() > largest_rows_) return_freed_memory();
    largest_rows_ = std::max(largest_rows_, batches[i].rows());
    const TargetLoss result = batch_loss(model_, context, *adapter_.method);
    loss += result.loss.item<double>() * share;
    // One mean over the whole step: a micro-batch with few targets must not weigh more.
    result.loss.backward(at::scalar_tensor(share, result.loss.options()));
  }
  const at::Tensor regularizer = adapter_.method->regularizer();
  if (regularizer.defined()) {
    loss += regularizer.item<double>();
    regularizer.backward();
  }
  return loss;
}

double Trainer::clip_factor(double norm) const {
  if (options_.max_grad_norm <= 0) return 1;
  // As torch.nn.utils.clip_grad_norm_.
  return std::min(1.0, options_.max_grad_norm / (norm + 1e-6));
}

StepResult Trainer::step() {
  const double started = monotonic_seconds();
  StepResult result;
  result.step = state_.step + 1;
  result.epoch = static_cast<double>(result.step) / static_cast<double>(steps_per_epoch_);
  const StepInfo info{result.step, total_steps(), 1, static_cast<uint64_t>(options_.seed)};
  const std::vector<int64_t> rows = rows_of(state_.step, order_of(state_.step / steps_per_epoch_));
  std::vector<Batch> batches;
  for (size_t begin = 0; begin < rows.size(); begin += options_.batch_size) {
    const size_t size = std::min<size_t>(options_.batch_size, rows.size() - begin);
    batches.push_back(batch_of(std::span(rows).subspan(begin, size)));
    adapter_.method->layout(batches.back());
    result.target_tokens += batches.back().targets.count();
  }
  for (const int64_t row : rows) result.tokens += std::ssize(examples_[row].tokens);
  ParameterSet& parameters = *adapter_.parameters;
  parameters.zero_gradients();
  adapter_.method->begin_step(info);
  result.loss = accumulate(batches, result.target_tokens);
  adapter_.method->end_backward();
  result.grad_norm = std::sqrt(squared_norm(parameters.gradients()));
  check(std::isfinite(result.loss) && std::isfinite(result.grad_norm), ErrorKind::invalid,
        "step {}: the loss is {} and the gradient's norm {}; a lower --lr often helps", result.step,
        result.loss, result.grad_norm);
  result.learning_rate = learning_rate_ * schedule_.factor(state_.step);
  const double clip = clip_factor(result.grad_norm);
  adamw_step(parameters.values(), parameters.gradients(), state_.m, state_.v,
             groups_of(parameters, result.learning_rate, options_.weight_decay), {}, result.step, clip);
  adapter_.method->after_step({info.step, info.total_steps, clip, info.seed});
  ++state_.step;
  result.seconds = monotonic_seconds() - started;
  return result;
}

}  // namespace lowrank
