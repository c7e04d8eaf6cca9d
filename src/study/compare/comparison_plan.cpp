#include "study/compare/comparison_plan.h"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "metrics/registry.h"
#include "report/table.h"
#include "session/places.h"
#include "session/run_report.h"
#include "study/compare/collected.h"
#include "study/compare/halving.h"

namespace lowrank {
namespace {

int64_t parameters_of(const ModelSpec& spec) {
  int64_t count = 0;
  for (const TensorRef& tensor : spec.tensors) {
    if (!(spec.tied_head && tensor.role == Role::head)) count += *element_count(tensor.shape);
  }
  return count;
}

PlannedMethod planned(const ComparedMethod& method, const ComparisonOptions& options, const ModelSpec& spec) {
  ChosenMethod chosen = method.choose();
  const TrainOptions training = options.training_of(method, 0, std::nullopt);
  training.check_batches();
  training.check_smoothing(spec);
  const Adapter adapter = plan_adapter(*chosen.info, std::move(chosen.method), spec);
  PlannedMethod found{method.label, method.method};
  found.head = head_count(adapter.plan, spec);
  found.trained = parameter_count(adapter.plan) - found.head;
  found.share = static_cast<double>(found.trained) / static_cast<double>(parameters_of(spec) - found.head);
  found.context_rows = adapter.plan.context_rows;
  found.rates = method.rates();
  found.runs = std::ssize(method.seeds);
  const std::vector<int64_t> sizes =
      halving_sizes(std::ssize(found.rates), options.search.rungs, options.search.keep);
  found.search_runs = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  return found;
}

BenchmarkScoring scoring_of(const ComparisonOptions& options, std::vector<std::string>& problems) {
  BenchmarkScoring scoring;
  collect(problems, [&] {
    scoring = benchmark_of_name(options.benchmark).scoring(nlohmann::ordered_json(options.benchmark_options));
  });
  collect(problems, [&] { apply(scoring.generation.fields(), options.generation, "generation"); });
  for (const std::string& metric : scoring.metrics)
    collect(problems, [&] { metrics::metric_of_name(metric); });
  return scoring;
}

/// What of the comparison needs another kind of model.
void check_fit(const ComparisonOptions& options, const ComparisonPlan& plan,
               std::vector<std::string>& problems) {
  const bool decoder = plan.spec.task == Task::causal_lm;
  const bool labels = plan.scoring.answer == Answer::label || plan.scoring.answer == Answer::number;
  if (labels && decoder)
    problems.push_back(fmt::format(
        "benchmark {}: it asks for labels, which need an encoder (BERT, RoBERTa, ModernBERT), and {} is a "
        "causal language model",
        options.benchmark, options.session.model));
  if (!labels && !decoder)
    problems.push_back(fmt::format("benchmark {}: it asks for texts, which {}, an encoder, does not generate",
                                   options.benchmark, options.session.model));
  if (!options.general_text.empty() && !decoder)
    problems.emplace_back("general_text: forgetting is measured on causal language models only");
  if (options.search.judge == "metric" && plan.scoring.metrics.empty())
    problems.push_back(
        fmt::format("search: judge metric, but benchmark {} has no metric", options.benchmark));
}

}  // namespace

int64_t ComparisonPlan::context_rows() const {
  int64_t most = 0;
  for (const PlannedMethod& method : methods) most = std::max(most, method.context_rows);
  return most;
}

ComparisonPlan plan_comparison(const ComparisonOptions& options, const std::optional<LabelSet>& labels,
                               std::vector<std::string>& problems) {
  ComparisonPlan plan;
  if (!options.benchmark.empty()) plan.scoring = scoring_of(options, problems);
  if (options.session.model.empty()) return plan;
  bool known = false;
  collect(problems, [&] {
    check_model_place(options.session.model);
    const ModelSpec plain = read_spec(options.session.model);
    LabelSet two{{"LABEL_0", "LABEL_1"}};
    if (plan.scoring.answer == Answer::number) two.names.clear();
    plan.spec =
        plain.task == Task::causal_lm ? plain : read_spec(options.session.model, labels.value_or(two));
    known = true;
  });
  if (!known) return plan;
  if (!options.benchmark.empty()) check_fit(options, plan, problems);
  for (const ComparedMethod& method : options.methods) {
    if (method.method.empty()) continue;
    try {
      plan.methods.push_back(planned(method, options, plan.spec));
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::interrupted) throw;
      problems.push_back(fmt::format("methods, {}: {}", method.label, error.what()));
    }
  }
  return plan;
}

nlohmann::ordered_json json_of(const ComparisonPlan& plan, const ComparisonOptions& options) {
  nlohmann::ordered_json methods = nlohmann::ordered_json::array();
  int64_t runs = 0, searches = 0;
  for (const PlannedMethod& method : plan.methods) {
    methods.push_back({{"label", method.label},
                       {"method", method.method},
                       {"trained_parameters", method.trained},
                       {"head_parameters", method.head},
                       {"share", method.share},
                       {"context_rows", method.context_rows},
                       {"learning_rates", method.rates},
                       {"search_runs", method.search_runs},
                       {"runs", method.runs}});
    runs += method.runs;
    searches += method.search_runs;
  }
  return {{"model", options.session.model},
          {"benchmark", options.benchmark},
          {"metrics", plan.scoring.metrics},
          {"options", options.common()},
          {"seeds", options.seeds},
          {"methods", methods},
          {"runs", runs},
          {"search_runs", searches}};
}

std::string markdown_of(const ComparisonPlan& plan) {
  std::vector<std::vector<std::string>> rows;
  for (const PlannedMethod& method : plan.methods) {
    std::vector<std::string> rates;
    for (const double rate : method.rates) rates.push_back(fmt::format("{:g}", rate));
    rows.push_back({method.label, std::to_string(method.trained), fmt::format("{:.3f}", 100 * method.share),
                    std::to_string(method.head), std::to_string(method.context_rows),
                    fmt::format("{}", fmt::join(rates, ", ")), std::to_string(method.search_runs),
                    std::to_string(method.runs)});
  }
  return markdown_table({"method", "trained parameters", "percent", "label head", "context taken",
                         "learning rates", "search runs", "runs"},
                        rows);
}

}  // namespace lowrank
