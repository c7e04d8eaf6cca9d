#include "train/trainer.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>

#include "base/error.h"
#include "base/process.h"
#include "base/rng.h"
#include "train/contrastive/contrastive_step.h"

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

/// True when both have tensors of the same names and shapes.
bool same_shapes(const std::vector<FileTensor>& one, const std::vector<FileTensor>& other) {
  return one.size() == other.size() && std::ranges::all_of(one, [&](const FileTensor& tensor) {
           const auto found = std::ranges::find(other, tensor.name, &FileTensor::name);
           return found != other.end() && found->value.sizes() == tensor.value.sizes();
         });
}

}  // namespace

Trainer::Trainer(const Model& model, Adapter& adapter, const TrainOptions& options, const RunPlan& plan)
    : model_(model),
      adapter_(adapter),
      options_(options),
      plan_(plan),
      schedule_{options.schedule, options.warmup, plan.total_steps},
      learning_rate_(options.lr.value_or(adapter.info->default_learning_rate)),
      m_(at::zeros_like(adapter.parameters->values())),
      v_(at::zeros_like(adapter.parameters->values())),
      stacks_(adapter.plan.stacked_values) {
  options_.check_smoothing(model.spec());
}

int64_t Trainer::counted_over_ranks(int64_t terms, StepResult& result) const {
  if (!options_.ranks) return terms;
  std::array<double, 3> counts{static_cast<double>(terms), static_cast<double>(result.tokens),
                               static_cast<double>(result.target_tokens)};
  options_.ranks->sum(counts);
  result.tokens = static_cast<int64_t>(counts[1]);
  result.target_tokens = static_cast<int64_t>(counts[2]);
  return static_cast<int64_t>(counts[0]);
}

double Trainer::accumulate(const StepBatches& step, std::span<const Batch> laid_out,
                           const Objective& objective, StepResult& result) {
  const std::span<const Batch> given = step.batches;
  int64_t terms = 0;
  for (const Batch& batch : laid_out) terms += objective.terms(batch);
  terms = counted_over_ranks(terms, result);
  check(terms > 0, ErrorKind::invalid, "step {}: its rows have nothing that the loss is a mean of",
        result.step);
  const auto share = 1 / static_cast<double>(terms);
  stacks_.clear();  // the last step changed the parameters
  std::vector<at::Tensor> sums;
  for (size_t i = 0; i < laid_out.size(); ++i) {
    Context context{&laid_out[i], true};
    const auto number = step.numbers.empty() ? i : static_cast<uint64_t>(step.numbers[i]);
    context.dropout_seed = derive_seed(dropout_seed(), static_cast<uint64_t>(step_), number);
    context.stacks = &stacks_;
    context.recompute = options_.gradient_checkpointing;
    // Memory freed by smaller batches is in pieces too small for a larger one.
    if (largest_tokens_ > 0 && laid_out[i].token_count() > largest_tokens_) return_freed_memory();
    largest_tokens_ = std::max(largest_tokens_, laid_out[i].token_count());
    const TargetLoss scored = batch_loss(model_, context, *adapter_.method, options_.label_smoothing);
    const at::Tensor sum = objective.sum({given[i], laid_out[i], scored}, result.figures);
    sums.push_back(sum.detach());
    // One mean over the whole step: a micro-batch with few terms must not weigh more.
    sum.backward(at::scalar_tensor(share, sum.options()));
  }
  for (auto& [name, figure] : result.figures) figure *= share;
  if (sums.empty()) return 0;  // of ranks, some may have no rows of a step
  double loss = 0;
  // Read together: each reading waits for a device.
  const at::Tensor read = at::stack(sums).to(at::kCPU, at::kDouble);
  for (size_t i = 0; i < sums.size(); ++i) loss += read.const_data_ptr<double>()[i] * share;
  return loss;
}

uint64_t Trainer::dropout_seed() const {
  return derive_seed(static_cast<uint64_t>(options_.seed), dropout_stream);
}

double Trainer::clip_factor(double norm) const {
  if (options_.max_grad_norm <= 0) return 1;
  // As torch.nn.utils.clip_grad_norm_.
  return std::min(1.0, options_.max_grad_norm / (norm + 1e-6));
}

StepResult Trainer::step(const StepBatches& batches, const Objective& objective) {
  return step(batches, [&](StepResult& result) {
    std::vector<Batch> laid_out = batches.batches;
    for (Batch& batch : laid_out) {
      adapter_.method->layout(batch);
      result.target_tokens += batch.targets.count();
    }
    return accumulate(batches, laid_out, objective, result);
  });
}

StepResult Trainer::step(const StepBatches& batches, const ContrastiveRun& run) {
  const RankGroup* ranks = batches.divided_texts ? &*options_.ranks : nullptr;
  // Of batches that all ranks have, one counts.
  const bool counts = !ranks || ranks->leads();
  return step(batches, [&](StepResult& result) {
    for (const Batch& batch : batches.batches) result.target_tokens += counts ? batch.sequences() : 0;
    const int64_t count = counted_over_ranks(counts ? std::ssize(batches.batches) : 0, result);
    stacks_.clear();  // the last step changed the parameters
    const StepPasses passes{.model = model_,
                            .hooks = *adapter_.method,
                            .dropout_seed = derive_seed(dropout_seed(), static_cast<uint64_t>(step_)),
                            .stacks = &stacks_,
                            .recompute = options_.gradient_checkpointing,
                            .numbers = batches.numbers,
                            .batches_of_step = count,
                            .ranks = ranks};
    const double loss = contrastive_backward(batches.batches, passes, run);
    return counts ? loss : 0;
  });
}

void Trainer::add_regularizer(StepResult& result) {
  // The sum over ranks must have it once.
  if (options_.ranks && !options_.ranks->leads()) return;
  const at::Tensor regularizer = adapter_.method->regularizer();
  if (!regularizer.defined()) return;
  result.loss += regularizer.item<double>();
  regularizer.backward();
}

void Trainer::sum_over_ranks(StepResult& result) {
  if (!options_.ranks) return;
  check(result.figures.empty(), ErrorKind::unsupported,
        "an objective that reports figures cannot be shared out over processes");
  options_.ranks->sum(adapter_.parameters->gradients());
  options_.ranks->sum(std::span(&result.loss, 1));
}

StepResult Trainer::step(const StepBatches& batches, const Backward& backward) {
  const double started = monotonic_seconds();
  StepResult result = begin(batches);
  result.loss = backward(result);
  finish(result);
  result.seconds = monotonic_seconds() - started;
  return result;
}

StepInfo Trainer::info_of(const StepResult& result) const {
  return {result.step, plan_.total_steps, 1, static_cast<uint64_t>(options_.seed)};
}

StepResult Trainer::begin(const StepBatches& batches) {
  StepResult result;
  result.step = step_ + 1;
  result.epoch = batches.epoch.value_or(plan_.epoch(result.step));
  result.tokens = batches.tokens;
  adapter_.parameters->zero_gradients();
  adapter_.method->begin_step(info_of(result));
  return result;
}

void Trainer::finish(StepResult& result) {
  ParameterSet& parameters = *adapter_.parameters;
  add_regularizer(result);
  adapter_.method->end_backward();
  sum_over_ranks(result);
  result.grad_norm = std::sqrt(squared_norm(parameters.gradients()));
  check(std::isfinite(result.loss) && std::isfinite(result.grad_norm), ErrorKind::invalid,
        "step {}: the loss is {} and the gradient's norm {}; a lower `lr` often helps", result.step,
        result.loss, result.grad_norm);
  result.learning_rate = learning_rate_ * schedule_.factor(step_);
  const double clip = clip_factor(result.grad_norm);
  adamw_step(parameters.values(), parameters.gradients(), m_, v_,
             groups_of(parameters, result.learning_rate, options_.weight_decay), {}, result.step, clip);
  StepInfo info = info_of(result);
  info.gradient_scale = clip;
  adapter_.method->after_step(info);
  ++step_;
}

TrainState Trainer::state() const {
  TrainState state;
  state.step = step_;
  state.values = adapter_.parameters->values();
  state.m = m_;
  state.v = v_;
  state.method = adapter_.method->state();
  return state;
}

void Trainer::set_state(const TrainState& state) {
  const int64_t count = adapter_.parameters->count();
  check(state.values.numel() == count, ErrorKind::invalid,
        "the state of {} trained parameters is not one of {}, which this run has", state.values.numel(),
        count);
  const at::NoGradGuard no_grad;
  adapter_.parameters->values().copy_(state.values);
  m_.copy_(state.m);
  v_.copy_(state.v);
  adapter_.method->set_state(state.method);
  check(same_shapes(adapter_.method->state(), state.method), ErrorKind::invalid,
        "the state is one of another method than {}, or of other options", adapter_.info->name);
  step_ = state.step;
}

}  // namespace lowrank
