#include "study/dimension_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/atomic_file.h"
#include "base/json.h"
#include "report/table.h"

namespace lowrank {
namespace {

nlohmann::ordered_json json_of_run(const DimensionPoint& run) {
  return {{"trained_parameters", run.trained},
          {"quality", run.quality},
          {"loss", run.loss},
          {"seconds", run.seconds}};
}

std::vector<std::string> cells(const DimensionReport& report, const std::string& name,
                               const DimensionPoint& run) {
  return {name,
          std::to_string(run.trained),
          fmt::format("{:.4f}", run.quality),
          fmt::format("{:.3f}", run.quality / report.reference.quality),
          fmt::format("{:.4f}", run.loss),
          fmt::format("{:.1f}", run.seconds)};
}

}  // namespace

std::optional<int64_t> DimensionReport::smallest() const {
  const auto found =
      std::ranges::find_if(points, [&](const DimensionPoint& point) { return reaches(point); });
  return found == points.end() ? std::nullopt : std::optional(found->dimension);
}

void DimensionReport::add(const DimensionPoint& point) {
  points.insert(std::ranges::upper_bound(points, point.dimension, {}, &DimensionPoint::dimension), point);
}

nlohmann::ordered_json json_of(const DimensionReport& report) {
  nlohmann::ordered_json base = json_of_run(report.base);
  base.erase("seconds");
  nlohmann::ordered_json reference = json_of_run(report.reference);
  reference["name"] = report.reference_name;
  nlohmann::ordered_json points = nlohmann::ordered_json::array();
  for (const DimensionPoint& point : report.points) {
    nlohmann::ordered_json entry = {{"dimension", point.dimension}};
    entry.update(json_of_run(point));
    entry["reaches_goal"] = report.reaches(point);
    points.push_back(std::move(entry));
  }
  const std::optional<int64_t> smallest = report.smallest();
  return {{"title", report.title},
          {"quality", report.quality_name},
          {"base", base},
          {"reference", reference},
          {"share", report.share},
          {"goal", report.goal()},
          {"points", points},
          {"smallest", smallest ? nlohmann::ordered_json(*smallest) : nlohmann::ordered_json()},
          {"finished", report.finished},
          {"options", report.settings}};
}

std::string conclusion_of(const DimensionReport& report) {
  const std::string goal = fmt::format("{} of the {} of {}, {:.4f}", report.share, report.quality_name,
                                       report.reference_name, report.goal());
  const std::string stopped = report.finished ? "" : " (the search is not finished)";
  if (const std::optional<int64_t> smallest = report.smallest()) {
    return fmt::format("smallest {} tried that reaches {}: {}{}{}", report.dimension_name, goal, *smallest,
                       *smallest == report.points.front().dimension ? " (none below it was tried)" : "",
                       stopped);
  }
  return fmt::format("no {} tried reaches {}{}", report.dimension_name, goal, stopped);
}

std::string markdown_of(const DimensionReport& report) {
  std::vector<std::vector<std::string>> rows = {cells(report, "base", report.base)};
  rows.front().back() = "";
  for (const DimensionPoint& point : report.points)
    rows.push_back(cells(report, std::to_string(point.dimension), point));
  rows.push_back(cells(report, report.reference_name, report.reference));
  return fmt::format("# {}\n\n{}\nResult: {}.\n", report.title,
                     markdown_table({report.dimension_name, "trained numbers", report.quality_name,
                                     "of " + report.reference_name, "loss", "seconds"},
                                    rows),
                     conclusion_of(report));
}

LinePlot plot_of(const DimensionReport& report) {
  LinePlot plot;
  plot.title = report.title;
  plot.x_label = report.dimension_name;
  plot.y_label = report.quality_name;
  plot.logarithmic_x = true;
  plot.series.push_back({report.quality_name, {}});
  for (const DimensionPoint& point : report.points)
    plot.series.front().points.push_back({static_cast<double>(point.dimension), point.quality});
  plot.lines = {
      {fmt::format("{} {:.3f}", report.reference_name, report.reference.quality), report.reference.quality},
      {fmt::format("goal {:.3f}", report.goal()), report.goal()},
      {fmt::format("base {:.3f}", report.base.quality), report.base.quality}};
  return plot;
}

void write_report(const DimensionReport& report, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  write_file_atomically(folder / "intrinsic.json", json_text(json_of(report), 2) + "\n");
  write_file_atomically(folder / "intrinsic.md", markdown_of(report));
  if (!report.points.empty()) write_file_atomically(folder / "intrinsic.svg", svg_of(plot_of(report)));
}

}  // namespace lowrank
