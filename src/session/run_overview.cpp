#include "session/run_overview.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "base/atomic_file.h"
#include "base/cpu_features.h"
#include "base/json.h"
#include "base/process.h"
#include "base/progress.h"
#include "base/version.h"
#include "report/run_curves.h"
#include "train/records/run_records.h"

namespace lowrank {
namespace {

using Record = nlohmann::ordered_json;

constexpr double seconds_between = 30;

/// Writing takes at most this share of the time.
constexpr double most_share = 0.01;

bool is_empty(const nlohmann::json& value) {
  return value.is_null() || value == "" || ((value.is_array() || value.is_object()) && value.empty());
}

/// File names may have bytes that are not UTF-8; these become U+FFFD.
std::string text_of(const nlohmann::json& value) {
  const std::string text = json_text(value);
  return value.is_string() ? nlohmann::json::parse(text).get<std::string>() : text;
}

void add_rows(RunPage& page, const std::string& what, const Dataset& dataset) {
  if (dataset.truncated > 0)
    page.rows.push_back({what + " rows that were cut", dataset.truncated_rows, dataset.truncated});
  if (dataset.dropped > 0)
    page.rows.push_back(
        {what + " rows left out, since they are too long", dataset.dropped_rows, dataset.dropped});
  if (dataset.skipped > 0)
    page.rows.push_back(
        {what + " rows left out, since they have no target", dataset.skipped_rows, dataset.skipped});
}

/// What the records sum up to.
struct Totals {
  int64_t step = 0, best_step = 0;
  double seconds = 0, tokens = 0, peak = 0;
  std::optional<double> first, last, best;
};

Totals totals_of(const std::vector<Record>& records) {
  Totals totals;
  for (const Record& record : records) {
    totals.step = record.value("step", int64_t{0});
    if (record.contains("eval_loss")) {
      const double loss = record.value("eval_loss", 0.0);
      if (totals.best && *totals.best <= loss) continue;
      totals.best = loss;
      totals.best_step = totals.step;
      continue;
    }
    totals.last = record.value("loss", 0.0);
    if (!totals.first) totals.first = totals.last;
    totals.seconds += record.value("seconds", 0.0);
    totals.tokens += record.value("tokens", 0.0);
    totals.peak = std::max(totals.peak, record.value("peak_rss_bytes", 0.0));
  }
  return totals;
}

RunPage::Facts results_of(const Totals& totals) {
  RunPage::Facts facts;
  if (totals.first)
    facts.emplace_back("loss, first and last step",
                       fmt::format("{:.4f}, {:.4f}", *totals.first, *totals.last));
  if (totals.best)
    facts.emplace_back("best evaluation loss",
                       fmt::format("{:.4f} after step {}", *totals.best, totals.best_step));
  if (totals.seconds > 0) {
    facts.emplace_back("time in steps", clock_text(totals.seconds));
    facts.emplace_back(
        "tokens", fmt::format("{:.0f}, {:.0f} per second", totals.tokens, totals.tokens / totals.seconds));
  }
  if (totals.peak > 0) facts.emplace_back("memory at most", fmt::format("{:.0f} MB", totals.peak / 1e6));
  return facts;
}

std::vector<RunSample> samples_of(const std::filesystem::path& path) {
  std::vector<RunSample> samples;
  for (const Record& row : read_metrics(path)) {
    samples.push_back({row.value("step", int64_t{0}), row.value("prompt", ""), row.value("generated", ""),
                       row.value("reference", "")});
  }
  return samples;
}

}  // namespace

RunPage page_of_run(const std::string& title, const nlohmann::json& configuration, const TrainingData& data) {
  RunPage page;
  page.title = text_of(title);
  for (const auto& [name, value] : configuration.items()) {
    if (!is_empty(value)) page.configuration.emplace_back(name, text_of(value));
  }
  add_rows(page, "training", data.train);
  add_rows(page, "evaluation", data.evaluation);
  page.environment = {
      {"lowrank", std::string(program_version())},
      {"processor", describe(cpu_features())},
      {"memory of the machine", fmt::format("{:.1f} GB", static_cast<double>(machine_bytes()) / 1e9)}};
  return page;
}

RunOverview::RunOverview(std::filesystem::path folder, RunPage page, int64_t total_steps)
    : folder_(std::move(folder)),
      page_(std::move(page)),
      total_steps_(total_steps),
      due_(monotonic_seconds() + seconds_between) {}

void RunOverview::refresh() {
  const double started = monotonic_seconds();
  if (started < due_) return;
  write("", false);
  const double now = monotonic_seconds();
  due_ = now + std::max(seconds_between, (now - started) / most_share);
}

void RunOverview::finish() {
  write("ended after ", true);
}

void RunOverview::stop(const std::string& how) noexcept {
  try {
    if (!read_metrics(folder_ / "metrics.jsonl").empty()) write(how + " after ", true);
  } catch (...) {
    // The run's own error matters more.
  }
}

void RunOverview::write(const std::string& state, bool ended) {
  const std::vector<Record> records = read_metrics(folder_ / "metrics.jsonl");
  const Totals totals = totals_of(records);
  const auto now = std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  page_.ended = ended;
  page_.state = fmt::format("{}step {} of {}, {:%Y-%m-%d %H:%M:%S} UTC", state, totals.step, total_steps_,
                            fmt::gmtime(std::chrono::system_clock::to_time_t(now)));
  page_.results = results_of(totals);
  page_.plots = run_plots(records);
  page_.samples = samples_of(folder_ / "samples.jsonl");
  if (!page_.plots.empty()) write_file_atomically(folder_ / "loss.svg", svg_of(page_.plots.front()));
  write_file_atomically(folder_ / "run.html", html_of(page_));
}

}  // namespace lowrank
