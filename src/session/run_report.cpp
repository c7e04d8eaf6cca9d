#include "session/run_report.h"

#include <algorithm>
#include <limits>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/log.h"
#include "base/one_line.h"
#include "base/process.h"
#include "data/training_batch.h"
#include "train/example_trainer.h"
#include "train/memory_estimate.h"

namespace lowrank {
namespace {

/// Reports what sharing prompts saves, or why they are not shared.
void report_prompts(const std::string& why_apart, const ExampleStore& examples, const TrainOptions& options) {
  // Of very many examples, comparing the prompts takes longer than what is said of them is worth.
  constexpr size_t most_compared = 1 << 20;
  if (examples.size() > most_compared && !options.group_prompts) return;
  const std::vector<int64_t> groups = prompt_groups(examples);
  const int64_t prompts = *std::ranges::max_element(groups) + 1;
  // Plain-text rows have no prompt.
  bool has_prompts = false;
  for (int64_t i = 0; i < std::ssize(examples) && !has_prompts; ++i)
    has_prompts = examples.prompt_length(i) > 0;
  const bool repeated = has_prompts && prompts < std::ssize(groups);
  if (!why_apart.empty()) {
    if (options.group_prompts)
      warn("`group_prompts` saves nothing: prompts are not shared: {}", why_apart);
    else if (repeated && options.share_prompts)
      info("prompts are not shared: {}", why_apart);
  } else if (repeated) {
    info("{} share {}; prefixes shared within a micro-batch are computed once{}",
         counted(std::ssize(groups), "example"),
         prompts == 1 ? "one prompt" : fmt::format("{} prompts", prompts),
         options.group_prompts ? "" : " (`group_prompts` brings more of them together)");
  }
}

double megabytes(int64_t bytes) {
  return static_cast<double>(bytes) / 1e6;
}

/// Reports the estimated peak memory, and keeps it within the limit, if there is one.
void report_memory(const Adapter& adapter, const BatchSize& batch, TrainOptions& options,
                   const LoadOptions& load, int64_t not_mapped) {
  const int64_t resident = resident_bytes(),
                present = resident + mapped_bytes(*adapter.base, load) - not_mapped;
  const auto with_training = [&](bool recompute) {
    return present + training_bytes(adapter.base->spec(), adapter.plan, load.compute, batch, recompute);
  };
  const int64_t limit = options.memory_limit * 1'000'000;
  const int64_t otherwise = with_training(options.gradient_checkpointing);
  const bool exceeds = limit > 0 && otherwise > limit;
  const int64_t most = exceeds ? with_training(true) : otherwise;
  check(
      !exceeds || most <= limit, ErrorKind::invalid,
      "micro-batches of up to {} take about {:.0f} MB even with recomputed layers, more than `memory_limit` "
      "{}; lower `{}` or `max_length`{}",
      counted(batch.tokens, "token"), megabytes(most), options.memory_limit,
      options.tokens_per_batch ? "tokens_per_batch" : "batch_size",
      load.base_memory() == BaseMemory::small ? "" : ", or take `base_memory` small");
  if (exceeds && !options.gradient_checkpointing)
    info("about {:.0f} MB would exceed `memory_limit` {}: layers are recomputed (`gradient_checkpointing`)",
         megabytes(otherwise), options.memory_limit);
  options.gradient_checkpointing |= exceeds;
  info("memory: about {:.0f} MB at most, {:.0f} of them for training on micro-batches of up to {}",
       megabytes(most), megabytes(most - resident), counted(batch.tokens, "token"));
}

}  // namespace

int64_t state_bytes(int64_t parameters) {
  return 4 * parameters * static_cast<int64_t>(sizeof(float));
}

int64_t head_count(const TrainPlan& plan, const ModelSpec& spec) {
  int64_t count = 0;
  for (const TensorRef& tensor : spec.tensors) {
    const auto use = plan.uses.find(tensor.name);
    if (tensor.start_deviation && use != plan.uses.end() && use->second == TensorUse::trained)
      count += *element_count(tensor.shape);
  }
  return count;
}

void report_plan(const Adapter& adapter, const ModelSpec& spec) {
  const int64_t count = parameter_count(adapter.plan);
  info("{}: {} in {} ({:.3f} % of the model's {}), {}", adapter.info->name,
       counted(count, "trained parameter"), counted(std::ssize(adapter.plan.parameters), "tensor"),
       100.0 * static_cast<double>(count) / static_cast<double>(spec.parameters()), spec.parameters(),
       counted(std::ssize(adapter.plan.targets), "module"));
  if (const int64_t head = head_count(adapter.plan, spec); head > 0)
    info("{} of them in the label head, which trains whole", head);
  info(
      "{} multiply-adds per token beside the base's {} ({:.2f} %); values, gradients and moments take "
      "{:.1f} MB",
      adapter.plan.macs_per_token, spec.macs_per_token(),
      100.0 * static_cast<double>(adapter.plan.macs_per_token) / static_cast<double>(spec.macs_per_token()),
      static_cast<double>(state_bytes(count)) / 1e6);
  if (adapter.plan.context_rows > 0) {
    info("virtual tokens take {} of the context's {} positions ({:.2f} %) in each sequence",
         adapter.plan.context_rows, spec.max_positions,
         100.0 * static_cast<double>(adapter.plan.context_rows) / static_cast<double>(spec.max_positions));
  }
}

void report_labels(const ModelSpec& spec) {
  if (spec.task == Task::classification)
    info("classes: {}", fmt::join(spec.labels->names, ", "));
  else if (spec.task == Task::regression)
    info("labels are values");
}

RunPlan report_run(const Model& model, const Adapter& adapter, const WeightedExamples& examples,
                   TrainOptions& options, const LoadOptions& load, int64_t not_mapped) {
  // Free what loading the weights used.
  return_freed_memory();
  ExampleSource source(examples, options, layout_of(options, model.spec(), adapter));
  RunPlan plan = plan_run(options, source);
  // Rows that are read for this alone keep the first step waiting.
  constexpr int64_t tokens_read_early = 500'000;
  const bool early = examples.early != nullptr;
  const BatchSize batch = largest_batch(source, *adapter.method, plan.total_steps,
                                        early ? tokens_read_early : std::numeric_limits<int64_t>::max(),
                                        options.contrastive ? options.contrastive->mini_batch_size : 1);
  if (!early && !options.contrastive)
    report_prompts(prefix_sharing_blocker(options, model.spec(), adapter), examples.examples, options);
  if (!load.device.is_cpu()) return plan;
  report_memory(adapter, batch, options, load, not_mapped);
  return plan;
}

}  // namespace lowrank
