#include "train/run_log.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/process.h"

namespace lowrank {

nlohmann::ordered_json step_record(const StepResult& step) {
  nlohmann::ordered_json record = {{"step", step.step},
                                   {"epoch", step.epoch},
                                   {"loss", step.loss},
                                   {"grad_norm", step.grad_norm},
                                   {"learning_rate", step.learning_rate},
                                   {"tokens", step.tokens},
                                   {"target_tokens", step.target_tokens},
                                   {"tokens_per_second", static_cast<double>(step.tokens) / step.seconds},
                                   {"peak_rss_bytes", peak_resident_bytes()},
                                   {"seconds", step.seconds}};
  for (const auto& [name, figure] : step.figures) record[name] = figure;
  return record;
}

nlohmann::ordered_json evaluation_record(const Evaluation& found, int64_t step, double epoch,
                                         const EvaluationWork& work) {
  nlohmann::ordered_json record = {{"step", step}, {"epoch", epoch}};
  const nlohmann::ordered_json figures = found.figures();
  for (const auto& [name, value] : figures.items()) record["eval_" + name] = value;
  const auto examples = static_cast<double>(work.examples);
  record["eval_runtime"] = work.seconds;
  record["eval_samples_per_second"] = examples / work.seconds;
  record["eval_steps_per_second"] =
      std::ceil(examples / static_cast<double>(work.rows_per_batch)) / work.seconds;
  return record;
}

std::optional<double> last_epoch(const std::string& lines) {
  if (lines.empty()) return std::nullopt;
  const size_t end = lines.size() - 1, before = end == 0 ? std::string::npos : lines.rfind('\n', end - 1);
  const nlohmann::json last = nlohmann::json::parse(
      std::string_view(lines).substr(before == std::string::npos ? 0 : before + 1), nullptr, false);
  if (!last.is_object() || !last.contains("epoch") || !last["epoch"].is_number()) return std::nullopt;
  return last["epoch"].get<double>();
}

int64_t counted_parameters(const ModelSpec& spec, const TrainPlan& plan) {
  int64_t count = 0;
  for (const TensorRef& tensor : spec.tensors) {
    const bool embedded = tensor.role == Role::embedding || tensor.role == Role::position;
    if (!embedded && !(spec.tied_head && tensor.role == Role::head)) count += *element_count(tensor.shape);
  }
  if (plan.context_rows > 0) return count;
  for (const ParameterSpec& parameter : plan.parameters) {
    if (!plan.uses.contains(parameter.name)) count += *element_count(parameter.shape);
  }
  return count;
}

TrainerFacts trainer_facts(const TrainOptions& options, const RunPlan& plan, int64_t epoch_size,
                           int64_t parameters, const RunResult& result, const std::filesystem::path& best) {
  const int64_t steps_per_epoch = plan.steps_per_epoch.value_or(plan.total_steps);
  TrainerFacts facts;
  facts.total_steps = plan.total_steps;
  facts.log_every = options.log_every;
  facts.eval_every = options.eval_every > 0 ? options.eval_every : steps_per_epoch;
  facts.save_every = options.save_every;
  // Where tokens are counted, on average.
  facts.examples_per_step = options.tokens_per_batch ? std::max<int64_t>(1, epoch_size / steps_per_epoch)
                                                     : options.rows_per_batch() * options.grad_accum;
  facts.batch_size = std::max<int64_t>(1, facts.examples_per_step / options.grad_accum);
  facts.epochs = plan.epoch(plan.total_steps);
  facts.parameters = parameters;
  facts.best_loss = result.best_eval_loss;
  facts.best_step = result.best_step;
  if (result.best_eval_loss) facts.best_place = best.string();
  return facts;
}

}  // namespace lowrank
