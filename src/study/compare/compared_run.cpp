#include "study/compare/compared_run.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/error.h"
#include "base/log.h"
#include "base/staged_folder.h"
#include "study/compare/fewer_rows.h"
#include "study/compare/generation_speed.h"
#include "study/compare/run_follower.h"
#include "study/compare/run_memory.h"
#include "study/measured_run.h"
#include "train/example_trainer.h"
#include "train/trial_steps.h"

namespace lowrank {
namespace {

/// The tokens that the measured ones follow.
std::vector<int64_t> latency_prompt(const ComparedTask& task) {
  constexpr size_t most = 32;
  std::vector<int64_t> prompt;
  if (!task.questions.front().prompts.ids.empty()) {
    prompt = task.questions.front().prompts.ids.front();
  } else {
    prompt = task.data.train.examples.front().tokens;
  }
  prompt.resize(std::min(prompt.size(), most));
  return prompt;
}

/// Steps of training that take so many minutes, from a few that are tried with this adapter.
int64_t steps_in(double minutes, const Model& model, Adapter& adapter, const WeightedExamples& examples,
                 TrainOptions train) {
  constexpr int64_t many = 1 << 20;
  train.steps = many;
  ExampleSource source(examples, train, layout_of(train, model.spec(), adapter));
  const RunPlan plan = plan_run(train, source);
  const RunCost cost = try_steps(model, adapter, examples, train, plan);
  // `cost.seconds` is the time of all the steps of the plan.
  return std::clamp<int64_t>(std::llround(60 * minutes * static_cast<double>(many) / cost.seconds), 1, many);
}

}  // namespace

ComparedRuns::ComparedRuns(const ComparisonOptions& options, const ComparisonPlan& plan,
                           const ComparedTask& task)
    : options_(options), plan_(plan), task_(task), base_(options.session, task.checkpoint) {
  if (plan.spec.task != Task::causal_lm) return;
  const Model& model = base_.model_for(nullptr);
  const int64_t rows = options.training.rows_per_batch();
  base_loss_ = evaluate(model, InferenceHooks(), task.data.evaluation.examples, rows).loss;
  if (!task.general.empty()) base_general_loss_ = evaluate(model, InferenceHooks(), task.general, rows).loss;
}

TrainOptions ComparedRuns::budget_of(const RunRequest& request, Adapter& adapter) {
  TrainOptions train = options_.training_of(request.method, request.seed, request.rate);
  const Model& model = base_.model();
  if (options_.minutes && !train.steps) {
    train.steps = steps_in(*options_.minutes * request.share, model, adapter, task_.data.examples, train);
    adapter = base_.prepare(request.method.choose(), static_cast<uint64_t>(request.seed));
    return train;
  }
  ExampleSource source(task_.data.examples, train, layout_of(train, model.spec(), adapter));
  const auto whole = static_cast<double>(plan_run(train, source).total_steps);
  train.steps = std::max<int64_t>(1, std::llround(whole * request.share));
  return train;
}

RunRecord ComparedRuns::blank(const RunRequest& request) const {
  const auto planned = std::ranges::find(plan_.methods, request.method.label, &PlannedMethod::label);
  RunRecord record;
  record.label = planned->label;
  record.method = planned->method;
  record.seed = request.seed;
  record.learning_rate = request.rate;
  record.trained = planned->trained;
  record.head = planned->head;
  record.share = planned->share;
  record.context_rows = planned->context_rows;
  return record;
}

double ComparedRuns::loss_before(Adapter& adapter, const TrainOptions& options) {
  if (base_loss_ && adapter.method->starts_from_base()) return *base_loss_;
  return evaluate_at_start(base_.model(), adapter, task_.data.evaluation.examples, options).loss;
}

void ComparedRuns::train(const RunRequest& request, Adapter& adapter, RunMemory& memory, RunRecord& record,
                         const StepSink& after_step) {
  const TrainOptions options = budget_of(request, adapter);
  const Model& model = base_.model();
  const ExampleStore& rows = task_.data.evaluation.examples;
  record.loss_before = loss_before(adapter, options);
  RunFollower follower(record, model, adapter, rows, options);
  note_failure(record, [&] {
    const auto follow = [&](const StepResult& step, int64_t total) {
      follower.step(step, total);
      memory.sample();
      after_step(step, total);
    };
    follower.end(measured_run(model, adapter, task_.data.examples, rows, options, follow).evaluation.loss);
  });
  follower.keep_curve();
  record.peak_bytes = memory.peak();
}

RunRecord ComparedRuns::run(const RunRequest& request, const StepSink& after_step) {
  RunMemory memory;
  RunRecord record = blank(request);
  note_failure(record, [&] {
    Adapter adapter = base_.prepare(request.method.choose(), static_cast<uint64_t>(request.seed));
    train(request, adapter, memory, record, after_step);
    if (record.problem.empty()) keep(request, adapter, record);
  });
  return record;
}

void ComparedRuns::keep(const RunRequest& request, Adapter& adapter, RunRecord& record) {
  if (*record.loss > *record.loss_before)
    record.problem =
        fmt::format("the validation loss rose from {:.4f} to {:.4f}", *record.loss_before, *record.loss);
  adapter.method->begin_step({record.steps, record.steps});
  make_folders(request.folder / "adapter");
  save_adapter(request.folder / "adapter", adapter, options_.session.model);
  record.adapter_bytes = adapter_file_size(request.folder / "adapter", adapter);
  const InferenceHooks hooks(adapter);
  if (base_general_loss_) {
    record.general_loss_before = base_general_loss_;
    record.general_loss =
        evaluate(base_.model(), hooks, task_.general, options_.training.rows_per_batch()).loss;
  }
  ask(base_.model(), hooks, record);
  if (request.measures_latency) measure_latency(adapter, request.folder, record);
}

RunRecord ComparedRuns::tried(const RunRequest& request, const StepSink& after_step) {
  RunMemory memory;
  RunRecord record = blank(request);
  note_failure(record, [&] {
    Adapter adapter = base_.prepare(request.method.choose(), static_cast<uint64_t>(request.seed));
    train(request, adapter, memory, record, after_step);
    if (record.problem.empty()) judge(adapter, record);
  });
  return record;
}

void ComparedRuns::judge(const Adapter& adapter, RunRecord& record) {
  if (!task_.validation) return;
  const std::vector<std::string> answers =
      answers_to(*task_.validation, base_.model(), InferenceHooks(adapter), *task_.tokenizer,
                 plan_.scoring.generation, task_.labels());
  record.metrics = scores_of(answers, *task_.validation, plan_.scoring);
}

RunRecord ComparedRuns::base() {
  RunRecord record;
  record.label = "base";
  RunMemory memory;
  const Model& model = base_.model_for(nullptr);
  record.loss = record.loss_before = base_loss_;
  record.general_loss = record.general_loss_before = base_general_loss_;
  note_failure(record, [&] {
    ask(model, InferenceHooks(), record);
    if (options_.latency_tokens > 1)
      record.latency = measured_latency(model, InferenceHooks(), *task_.tokenizer, latency_prompt(task_),
                                        options_.latency_tokens);
  });
  return record;
}

void ComparedRuns::ask(const Model& model, const InferenceHooks& hooks, RunRecord& record) {
  for (const Questions& questions : task_.questions) {
    const std::string before = task_.questions.size() > 1 ? questions.name + " " : "";
    if (questions.answer == Answer::loss) {
      const Evaluation found = evaluate(model, hooks, questions.examples, options_.training.rows_per_batch());
      record.metrics.emplace_back(before + "loss", found.loss);
      continue;
    }
    const std::vector<std::string> answers =
        answers_to(questions, model, hooks, *task_.tokenizer, plan_.scoring.generation, task_.labels());
    for (const auto& [name, score] : scores_of(answers, questions, plan_.scoring))
      record.metrics.emplace_back(before + name, score);
    if (&questions != &task_.questions.front() || options_.samples == 0) continue;
    for (const size_t row : evenly_spaced(answers.size(), options_.samples))
      record.samples.push_back({questions.shown(row), questions.references[row].front(), answers[row]});
  }
}

void ComparedRuns::measure_latency(const Adapter& adapter, const std::filesystem::path& folder,
                                   RunRecord& record) {
  if (options_.latency_tokens < 2 || plan_.spec.task != Task::causal_lm) return;
  const std::vector<int64_t> prompt = latency_prompt(task_);
  record.latency = measured_latency(base_.model(), InferenceHooks(adapter), *task_.tokenizer, prompt,
                                    options_.latency_tokens);
  std::string why;
  record.merged_latency = merged_latency(options_.session, *task_.checkpoint, adapter, prompt,
                                         options_.latency_tokens, folder / "merged", why);
  if (!record.merged_latency) info("{}: no time of the merged model: {}", record.label, why);
}

}  // namespace lowrank
