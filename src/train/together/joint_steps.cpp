#include "train/together/joint_steps.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include <ATen/ops/dot.h>
#include <ATen/ops/tensor.h>

#include "base/error.h"
#include "base/process.h"
#include "data/batch_parts.h"
#include "kernels/core/device.h"
#include "peft/bank/adapter_group.h"
#include "train/example_trainer.h"

namespace lowrank {
namespace {

int64_t stacked_values(const std::vector<Adapter*>& adapters) {
  return std::transform_reduce(adapters.begin(), adapters.end(), int64_t{0}, std::plus<>(),
                               [](const Adapter* adapter) { return adapter->plan.stacked_values; });
}

}  // namespace

/// A run's part of a step.
struct JointSteps::Part {
  Run* run = nullptr;
  StepBatches batches;
  JointResult result;
  double share = 0;  ///< of a target in the mean over the step's
};

JointSteps::Run::Run(const Model& model, Adapter& adapter, const WeightedExamples& examples,
                     const TrainOptions& options)
    : source(examples, options, layout_of(options, model.spec(), adapter)),
      trainer(model, adapter, options, plan_run(options, source)),
      adapter(adapter) {}

JointSteps::JointSteps(const Model& model, std::vector<Adapter*> adapters, const WeightedExamples& examples,
                       const std::vector<TrainOptions>& options)
    : model_(model), options_(options.front()), stacks_(stacked_values(adapters)) {
  for (size_t i = 0; i < adapters.size(); ++i)
    runs_.push_back(std::make_unique<Run>(model, *adapters[i], examples, options[i]));
}

/// The gradients of the runs' micro-batches of this number, from one pass.
void JointSteps::backward(std::vector<Part>& parts, size_t micro_batch) {
  Batch together;
  std::vector<const Adapter*> adapters;
  std::vector<Part*> members;
  std::vector<int64_t> counts;
  for (Part& part : parts) {
    if (micro_batch >= part.batches.batches.size()) continue;
    Batch own = part.batches.batches[micro_batch];
    own.adapters.assign(own.sequences(), std::ssize(adapters));
    adapters.push_back(&part.run->adapter);
    members.push_back(&part);
    counts.push_back(own.targets.count());
    append(together, own);
  }
  const AdapterGroup group(adapters);
  Context context{&together, true};
  context.stacks = &stacks_;
  context.recompute = options_.gradient_checkpointing;
  const at::Tensor nll = batch_loss(model_, context, group, options_.label_smoothing).nll;
  std::vector<float> factors = together.targets.weights;
  int64_t first = 0;
  const at::Tensor weights = sent_to(at::tensor(factors, nll.scalar_type()), nll.device());
  for (size_t i = 0; i < members.size(); ++i) {
    const int64_t count = counts[i];
    const double share = members[i]->share;
    members[i]->result.step.loss +=
        at::dot(nll.detach().narrow(0, first, count), weights.narrow(0, first, count)).item<double>() * share;
    for (int64_t n = first; n < first + count; ++n) factors[n] *= static_cast<float>(share);
    first += count;
  }
  nll.backward(sent_to(at::tensor(factors, nll.scalar_type()), nll.device()));
}

std::vector<JointResult> JointSteps::step(std::span<const size_t> members) {
  const double started = monotonic_seconds();
  std::vector<Part> parts;
  int64_t tokens = 0;
  size_t most = 0;
  stacks_.clear();  // the last step changed the parameters
  for (const size_t number : members) {
    if (done(number)) continue;
    Run& run = *runs_[number];
    Part& part = parts.emplace_back();
    part.run = &run;
    part.batches = run.source.batches(run.trainer.steps_done());
    part.result.step = run.trainer.begin(part.batches);
    int64_t terms = 0;
    for (const Batch& batch : part.batches.batches) terms += batch.targets.count();
    check(terms > 0, ErrorKind::invalid, "step {}: its rows have nothing that the loss is a mean of",
          part.result.step.step);
    part.result.step.target_tokens = terms;
    part.share = 1 / static_cast<double>(terms);
    tokens += part.batches.tokens;
    most = std::max(most, part.batches.batches.size());
  }
  for (size_t i = 0; i < most; ++i) backward(parts, i);
  for (Part& part : parts) {
    try {
      part.run->trainer.finish(part.result.step);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::invalid) throw;
      part.result.problem = error.what();
      part.run->stopped = true;
    }
  }
  const double seconds = monotonic_seconds() - started;
  std::vector<JointResult> results(members.size());
  size_t next = 0;
  for (size_t i = 0; i < members.size() && next < parts.size(); ++i) {
    if (parts[next].run != runs_[members[i]].get()) continue;
    results[i] = std::move(parts[next++].result);
    results[i].step.seconds = seconds * static_cast<double>(results[i].step.tokens) /
                              static_cast<double>(std::max<int64_t>(1, tokens));
  }
  return results;
}

}  // namespace lowrank
