#include "report/run_curves.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "report/smoothed.h"

namespace lowrank {
namespace {

using Record = nlohmann::ordered_json;

/// More points than this are not told apart on a chart.
constexpr size_t most_points = 500;

/// Runs with fewer steps are shown as they are.
constexpr size_t fewest_smoothed = 20;

std::vector<PlotPoint> points_of(const std::vector<Record>& records, const char* key) {
  std::vector<PlotPoint> points;
  for (const Record& record : records) {
    const auto step = record.find("step"), value = record.find(key);
    if (step == record.end() || value == record.end() || !step->is_number() || !value->is_number()) continue;
    if (std::isfinite(value->get<double>())) points.push_back({step->get<double>(), value->get<double>()});
  }
  return points;
}

/// Means over stretches of equal numbers of points, so that at most `most_points` are left.
std::vector<PlotPoint> thinned(const std::vector<PlotPoint>& points) {
  const size_t stretch = (points.size() + most_points - 1) / most_points;
  if (stretch <= 1) return points;
  std::vector<PlotPoint> means;
  for (size_t begin = 0; begin < points.size(); begin += stretch) {
    const size_t end = std::min(points.size(), begin + stretch);
    PlotPoint mean;
    for (size_t i = begin; i < end; ++i) {
      mean.x += points[i].x / static_cast<double>(end - begin);
      mean.y += points[i].y / static_cast<double>(end - begin);
    }
    means.push_back(mean);
  }
  return means;
}

std::vector<PlotPoint> smoothed(std::vector<PlotPoint> points) {
  // About a twentieth of the run.
  Smoothed average(1 - 1 / std::max(2.0, static_cast<double>(points.size()) / 20));
  for (PlotPoint& point : points) point.y = average.add(point.y);
  return points;
}

/// The values of each step, with their average where there are many.
std::vector<PlotSeries> series_of(const std::vector<Record>& records, const char* key,
                                  const std::string& label) {
  const std::vector<PlotPoint> points = points_of(records, key);
  if (points.empty()) return {};
  if (points.size() < fewest_smoothed) return {{label, points, Stroke::line}};
  return {{label + ", each step", thinned(points), Stroke::faint},
          {label + ", smoothed", thinned(smoothed(points)), Stroke::line}};
}

}  // namespace

std::vector<LinePlot> run_plots(const std::vector<Record>& records) {
  std::vector<LinePlot> plots;
  const auto add = [&](const char* title, const char* label, std::vector<PlotSeries> series) {
    if (!series.empty()) plots.push_back({title, "step", label, false, std::move(series), {}});
  };
  std::vector<PlotSeries> losses = series_of(records, "loss", "training");
  if (std::vector<PlotPoint> points = points_of(records, "eval_loss"); !points.empty())
    losses.push_back({"evaluation", std::move(points), Stroke::marked});
  add("Loss", "loss", std::move(losses));
  if (std::vector<PlotPoint> rates = points_of(records, "learning_rate"); !rates.empty())
    add("Learning rate", "learning rate", {{"", thinned(rates), Stroke::line}});
  add("Gradient norm before clipping", "gradient norm", series_of(records, "grad_norm", "norm"));
  add("Speed", "tokens per second", series_of(records, "tokens_per_second", "speed"));
  return plots;
}

}  // namespace lowrank
