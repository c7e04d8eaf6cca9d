#include "study/compare/comparison_report.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

/// The spread of one figure over those runs that have it.
template <class Figure>
std::optional<Spread> spread_over(const std::vector<const RunRecord*>& runs, const Figure& figure) {
  std::vector<double> values;
  for (const RunRecord* run : runs) {
    const std::optional<double> value = figure(*run);
    if (value && std::isfinite(*value)) values.push_back(*value);
  }
  return spread_of(values);
}

std::optional<double> as_number(const std::optional<int64_t>& value) {
  return value ? std::optional(static_cast<double>(*value)) : std::nullopt;
}

std::optional<double> metric_of(const RunRecord& run, const std::string& name) {
  const auto found = std::ranges::find(run.metrics, name, &std::pair<std::string, double>::first);
  return found == run.metrics.end() ? std::nullopt : std::optional(found->second);
}

void summarise(MethodSummary& summary, const std::vector<const RunRecord*>& runs,
               const ComparisonReport& report) {
  std::vector<const RunRecord*> whole;
  std::ranges::copy_if(runs, std::back_inserter(whole),
                       [](const RunRecord* run) { return run->problem.empty(); });
  summary.runs = std::ssize(runs);
  summary.diverged = summary.runs - std::ssize(whole);
  summary.learning_rate = runs.front()->learning_rate;
  for (const auto& [name, higher] : report.metrics) {
    const auto figure = [&name = name](const RunRecord& run) { return metric_of(run, name); };
    summary.metrics.emplace_back(name, spread_over(whole, figure));
  }
  const auto positive = [](double value) { return value > 0 ? std::optional(value) : std::nullopt; };
  summary.loss = spread_over(whole, [](const RunRecord& run) { return run.loss; });
  // Runs that share their passes take less time each, which is no property of the method.
  const auto alone = [&](const RunRecord& run, double value) {
    return run.together > 1 ? std::nullopt : positive(value);
  };
  summary.seconds = spread_over(whole, [&](const RunRecord& run) { return alone(run, run.seconds); });
  summary.tokens_per_second =
      spread_over(whole, [&](const RunRecord& run) { return alone(run, run.tokens_per_second()); });
  summary.peak_bytes =
      spread_over(whole, [&](const RunRecord& run) { return positive(static_cast<double>(run.peak_bytes)); });
  summary.adapter_bytes =
      spread_over(whole, [](const RunRecord& run) { return as_number(run.adapter_bytes); });
  summary.latency = spread_over(whole, [](const RunRecord& run) { return run.latency; });
  summary.merged_latency = spread_over(whole, [](const RunRecord& run) { return run.merged_latency; });
  summary.forgetting = spread_over(whole, [](const RunRecord& run) { return run.forgetting(); });
}

Json json_of(const std::optional<Spread>& spread) {
  if (!spread) return {};
  return {{"mean", spread->mean},
          {"deviation", spread->deviation ? Json(*spread->deviation) : Json()},
          {"runs", spread->count}};
}

Json json_of(const MethodSummary& summary) {
  Json metrics = Json::object();
  for (const auto& [name, spread] : summary.metrics) metrics[name] = json_of(spread);
  return {{"label", summary.label},
          {"method", summary.method},
          {"trained_parameters", summary.trained},
          {"head_parameters", summary.head},
          {"share", summary.share},
          {"context_rows", summary.context_rows},
          {"learning_rate", summary.learning_rate},
          {"runs", summary.runs},
          {"diverged", summary.diverged},
          {"metrics", metrics},
          {"validation_loss", json_of(summary.loss)},
          {"seconds", json_of(summary.seconds)},
          {"tokens_per_second", json_of(summary.tokens_per_second)},
          {"peak_memory_bytes", json_of(summary.peak_bytes)},
          {"adapter_bytes", json_of(summary.adapter_bytes)},
          {"seconds_per_token", json_of(summary.latency)},
          {"seconds_per_token_merged", json_of(summary.merged_latency)},
          {"forgetting", json_of(summary.forgetting)}};
}

}  // namespace

std::optional<Spread> spread_of(const std::vector<double>& values) {
  if (values.empty()) return std::nullopt;
  const auto count = static_cast<double>(values.size());
  double mean = 0, squares = 0;
  for (const double value : values) mean += value / count;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return Spread{mean, values.size() > 1 ? std::optional(std::sqrt(squares / (count - 1))) : std::nullopt,
                std::ssize(values)};
}

std::string place_among(double rate, const std::vector<double>& rates) {
  if (rates.size() < 2) return "";
  if (rate == std::ranges::max(rates)) return "highest";
  return rate == std::ranges::min(rates) ? "lowest" : "";
}

std::vector<MethodSummary> summaries_of(const ComparisonReport& report) {
  std::vector<MethodSummary> all;
  const auto add = [&](MethodSummary summary) {
    std::vector<const RunRecord*> runs;
    for (const RunRecord& run : report.runs)
      if (run.label == summary.label) runs.push_back(&run);
    if (runs.empty()) return;
    summarise(summary, runs, report);
    all.push_back(std::move(summary));
  };
  MethodSummary base;
  base.label = "base";
  add(std::move(base));
  for (const PlannedMethod& method : report.methods) {
    MethodSummary summary;
    summary.label = method.label;
    summary.method = method.method;
    summary.trained = method.trained;
    summary.head = method.head;
    summary.share = method.share;
    summary.context_rows = method.context_rows;
    add(std::move(summary));
  }
  return all;
}

nlohmann::ordered_json json_of(const ComparisonReport& report) {
  Json metrics = Json::array(), methods = Json::array(), runs = Json::array(), searches = Json::array();
  for (const auto& [name, higher] : report.metrics)
    metrics.push_back({{"name", name}, {"higher_is_better", higher}});
  for (const MethodSummary& summary : summaries_of(report)) methods.push_back(json_of(summary));
  for (const RunRecord& run : report.runs) runs.push_back(json_of(run));
  for (const TriedRun& tried : report.searches) {
    Json entry = {{"round", tried.round + 1}};
    entry.update(json_of(tried.record));
    searches.push_back(std::move(entry));
  }
  return {{"model", report.model},       {"benchmark", report.benchmark},
          {"finished", report.finished}, {"metrics", metrics},
          {"methods", methods},          {"runs", runs},
          {"searches", searches},        {"options", report.settings}};
}

}  // namespace lowrank
