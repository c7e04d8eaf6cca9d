#include "study/compare/comparison_tables.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/atomic_file.h"
#include "base/json.h"
#include "base/one_line.h"
#include "base/staged_folder.h"
#include "report/scatter_plot.h"
#include "report/table.h"
#include "study/compare/comparison_page.h"

namespace lowrank {
namespace {

constexpr const char* quality_file = "quality.svg";

/// "27.31 ± 0.42", with so many digits after the point.
std::string cell(const std::optional<Spread>& spread, int digits, double factor = 1) {
  if (!spread) return "";
  const std::string mean = fmt::format("{:.{}f}", factor * spread->mean, digits);
  return spread->deviation ? fmt::format("{} ± {:.{}f}", mean, factor * *spread->deviation, digits) : mean;
}

/// Digits after the point of a metric's column: scores of 0 to 1 need more than those of 0 to 100.
int digits_of(const std::vector<MethodSummary>& summaries, size_t metric) {
  constexpr double small = 5;
  double largest = 0;
  for (const MethodSummary& summary : summaries) {
    const std::optional<Spread>& spread = summary.metrics[metric].second;
    if (spread) largest = std::max(largest, std::abs(spread->mean));
  }
  return largest < small ? 4 : 2;
}

std::string in_csv(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char letter : text) quoted += letter == '"' ? "\"\"" : std::string(1, letter);
  return quoted + "\"";
}

std::string number(const std::optional<double>& value) {
  return value ? fmt::format("{:.6g}", *value) : "";
}

/// The methods of which no learning rate works, with the problem of each rate.
std::string methods_without_runs(const ComparisonReport& report) {
  std::string lines;
  for (const PlannedMethod& method : report.methods) {
    const bool has_runs =
        std::ranges::find(report.runs, method.label, &RunRecord::label) != report.runs.end();
    if (!report.finished || has_runs) continue;
    lines += fmt::format("- {}\n", method.label);
    for (const TriedRun& tried : report.searches) {
      if (tried.record.label == method.label && !tried.record.problem.empty())
        lines +=
            fmt::format("  - learning rate {:g}: {} after {}: {}\n", tried.record.learning_rate,
                        tried.record.failure(), counted(tried.record.steps, "step"), tried.record.problem);
    }
  }
  return lines.empty() ? "" : "\nMethods of which no learning rate works, and which have no run:\n\n" + lines;
}

std::string problems_of(const ComparisonReport& report) {
  std::string lines;
  for (const RunRecord& run : report.runs) {
    if (!run.problem.empty())
      lines += fmt::format("- {}, seed {}, learning rate {:g}: {} after {}: {}\n", run.label, run.seed,
                           run.learning_rate, run.failure(), counted(run.steps, "step"), run.problem);
  }
  if (!lines.empty()) lines = "\nRuns that failed or diverged, which no mean contains:\n\n" + lines;
  return lines + methods_without_runs(report);
}

/// The methods for which the search may have ended too early.
std::string rates_at_the_edge(const ComparisonReport& report) {
  std::vector<std::string> found;
  for (const PlannedMethod& method : report.methods) {
    const auto run = std::ranges::find(report.runs, method.label, &RunRecord::label);
    if (run == report.runs.end()) continue;
    const std::string place = place_among(run->learning_rate, method.rates);
    if (!place.empty()) found.push_back(fmt::format("{} (the {})", method.label, place));
  }
  if (found.empty()) return "";
  return fmt::format(
      "\nThe best learning rate is at the end of the list for {}. A better one may lie beyond: add some to "
      "`learning_rates` and compare again.\n",
      fmt::join(found, ", "));
}

/// What is judged of a method: the first metric, or where there is none the validation loss.
const std::optional<Spread>& quality_of(const MethodSummary& summary) {
  return summary.metrics.empty() ? summary.loss : summary.metrics.front().second;
}

/// Quality against trained parameters; without points if no method has been measured.
ScatterPlot quality_plot(const ComparisonReport& report, const std::vector<MethodSummary>& summaries) {
  ScatterPlot plot;
  plot.title = fmt::format("{} on {}", report.benchmark, without_slash(report.model).filename().string());
  plot.x_label = "trained parameters";
  plot.y_label = report.metrics.empty() ? "validation loss" : report.metrics.front().first;
  plot.higher_is_better = !report.metrics.empty() && report.metrics.front().second;
  plot.logarithmic_x = true;
  for (const MethodSummary& summary : summaries) {
    const std::optional<Spread>& quality = quality_of(summary);
    if (!quality) continue;
    if (summary.method.empty())
      plot.reference = PlotLine{summary.label, quality->mean};
    else if (summary.trained > 0)
      plot.points.push_back({summary.label, static_cast<double>(summary.trained), quality->mean,
                             quality->deviation.value_or(0)});
  }
  return plot;
}

/// Leaves out the columns in which no row has anything: what the task does not have, or was not measured.
void drop_empty_columns(std::vector<std::string>& headings, std::vector<std::vector<std::string>>& rows) {
  if (rows.empty()) return;
  for (size_t column = headings.size(); column-- > 0;) {
    if (std::ranges::any_of(rows, [&](const auto& row) { return !row[column].empty(); })) continue;
    const auto place = static_cast<std::ptrdiff_t>(column);
    headings.erase(headings.begin() + place);
    for (std::vector<std::string>& row : rows) row.erase(row.begin() + place);
  }
}

}  // namespace

std::string markdown_of(const ComparisonReport& report) {
  std::vector<std::string> headings = {"method", "trained parameters", "percent", "learning rate"};
  for (const auto& [name, higher] : report.metrics) headings.push_back(name);
  for (const char* name : {"validation loss", "seconds", "tokens/s", "peak MB", "adapter kB", "ms a token",
                           "merged ms", "context taken", "forgetting", "runs"})
    headings.emplace_back(name);
  std::vector<std::vector<std::string>> rows;
  const std::vector<MethodSummary> summaries = summaries_of(report);
  for (const MethodSummary& summary : summaries) {
    const bool trained = summary.trained + summary.head > 0;
    std::vector<std::string> row = {summary.label, std::to_string(summary.trained),
                                    fmt::format("{:.3f}", 100 * summary.share),
                                    trained ? fmt::format("{:g}", summary.learning_rate) : ""};
    for (size_t metric = 0; metric < summary.metrics.size(); ++metric)
      row.push_back(cell(summary.metrics[metric].second, digits_of(summaries, metric)));
    row.push_back(cell(summary.loss, 4));
    row.push_back(cell(summary.seconds, 1));
    row.push_back(cell(summary.tokens_per_second, 0));
    row.push_back(cell(summary.peak_bytes, 0, 1e-6));
    row.push_back(cell(summary.adapter_bytes, 1, 1e-3));
    row.push_back(cell(summary.latency, 2, 1e3));
    row.push_back(cell(summary.merged_latency, 2, 1e3));
    row.push_back(std::to_string(summary.context_rows));
    row.push_back(cell(summary.forgetting, 4));
    row.push_back(summary.diverged == 0 ? std::to_string(summary.runs)
                                        : fmt::format("{}, {} diverged", summary.runs, summary.diverged));
    rows.push_back(std::move(row));
  }
  drop_empty_columns(headings, rows);
  const std::string picture =
      quality_plot(report, summaries).points.empty()
          ? ""
          : fmt::format("\n![Quality against trained parameters]({})\n", quality_file);
  return fmt::format(
      "# {} on {}\n\n{}{}{}\n{}Mean ± standard deviation over the seeds. Forgetting is what the loss on the "
      "general text has risen by; trained parameters are without a label head's.\n",
      report.benchmark, without_slash(report.model).filename().string(), markdown_table(headings, rows),
      picture, rates_at_the_edge(report) + problems_of(report),
      report.finished ? "" : "The comparison is not finished.\n\n");
}

std::string csv_of(const ComparisonReport& report) {
  std::vector<std::string> headings = {"label",           "method", "trained_parameters",
                                       "head_parameters", "share",  "context_rows",
                                       "learning_rate",   "runs",   "diverged"};
  const auto heading = [&](const std::string& name) {
    headings.push_back(in_csv(name));
    headings.push_back(in_csv(name + "_deviation"));
  };
  for (const auto& [name, higher] : report.metrics) heading(name);
  for (const char* name : {"validation_loss", "seconds", "tokens_per_second", "peak_memory_bytes",
                           "adapter_bytes", "seconds_per_token", "seconds_per_token_merged", "forgetting"})
    heading(name);
  std::string text = fmt::format("{}\r\n", fmt::join(headings, ","));
  for (const MethodSummary& summary : summaries_of(report)) {
    std::vector<std::string> row = {
        in_csv(summary.label),         in_csv(summary.method),       std::to_string(summary.trained),
        std::to_string(summary.head),  number(summary.share),        std::to_string(summary.context_rows),
        number(summary.learning_rate), std::to_string(summary.runs), std::to_string(summary.diverged)};
    const auto add = [&](const std::optional<Spread>& spread) {
      row.push_back(spread ? number(spread->mean) : "");
      row.push_back(spread ? number(spread->deviation) : "");
    };
    for (const auto& [name, spread] : summary.metrics) add(spread);
    for (const auto* spread :
         {&summary.loss, &summary.seconds, &summary.tokens_per_second, &summary.peak_bytes,
          &summary.adapter_bytes, &summary.latency, &summary.merged_latency, &summary.forgetting})
      add(*spread);
    text += fmt::format("{}\r\n", fmt::join(row, ","));
  }
  return text;
}

void write_report(const ComparisonReport& report, const std::filesystem::path& folder) {
  make_folders(folder);
  const nlohmann::ordered_json json = json_of(report);
  write_file_atomically(folder / "results.json", json_text(json, 2) + "\n");
  write_file_atomically(folder / "results.md", markdown_of(report));
  write_file_atomically(folder / "results.csv", csv_of(report));
  write_file_atomically(folder / "index.html", comparison_page(json));
  if (const ScatterPlot plot = quality_plot(report, summaries_of(report)); !plot.points.empty())
    write_file_atomically(folder / quality_file, svg_of(plot));
}

}  // namespace lowrank
