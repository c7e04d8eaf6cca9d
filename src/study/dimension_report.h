#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "report/line_plot.h"

namespace lowrank {

/// The result of one run on the evaluation examples.
struct DimensionPoint {
  int64_t dimension = 0;
  int64_t trained = 0;  ///< trained numbers in total, including a label head's
  double quality = 0;   ///< higher is better
  double loss = 0;
  double seconds = 0;
};

/// How quality depends on the dimension of what is trained, between a base that learns nothing and an
/// unrestricted reference. Quality is measured such that reaching `share` of the reference's is a goal.
struct DimensionReport {
  std::string title;
  std::string dimension_name;       ///< "d"
  std::string quality_name;         ///< "accuracy"
  std::string reference_name;       ///< "full"
  nlohmann::ordered_json settings;  ///< options of the command
  DimensionPoint base, reference;   ///< their `dimension` is not used
  double share = 0.9;
  std::vector<DimensionPoint> points;
  bool finished = false;

  /// Lowered by more than the product's rounding error, so that an accuracy of exactly the goal reaches it.
  double goal() const { return share * reference.quality - 1e-12; }
  bool reaches(const DimensionPoint& point) const { return point.quality >= goal(); }
  /// The smallest dimension whose quality reaches the goal.
  std::optional<int64_t> smallest() const;
  /// Inserts a point in order of dimension.
  void add(const DimensionPoint& point);
};

/// The complete report, for programs.
nlohmann::ordered_json json_of(const DimensionReport& report);

/// The result as a sentence.
std::string conclusion_of(const DimensionReport& report);

/// Title, table and conclusion, as Markdown.
std::string markdown_of(const DimensionReport& report);

/// Quality against dimension, with lines at base, goal and reference. Needs at least one point.
LinePlot plot_of(const DimensionReport& report);

/// Writes intrinsic.json, intrinsic.md and, if there is a point, intrinsic.svg to the folder, which is
/// created; each file is either complete or unchanged. Errors: io.
void write_report(const DimensionReport& report, const std::filesystem::path& folder);

}  // namespace lowrank
