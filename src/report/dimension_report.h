#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "report/line_plot.h"

namespace lowrank {

/// What one run reached on the evaluation rows.
struct DimensionPoint {
  int64_t dimension = 0;
  int64_t trained = 0;  ///< numbers in all, a label head's too
  double quality = 0;   ///< more is better
  double loss = 0;
  double seconds = 0;
};

/// How quality depends on the dimension of what is trained, between a base that learns nothing and a
/// reference that is not restricted. Quality is measured so that reaching `share` of the reference's is a
/// goal.
struct DimensionReport {
  std::string title;
  std::string dimension_name;       ///< "d"
  std::string quality_name;         ///< "accuracy"
  std::string reference_name;       ///< "full"
  nlohmann::ordered_json settings;  ///< options of the command
  DimensionPoint base, reference;   ///< their `dimension` means nothing
  double share = 0.9;
  std::vector<DimensionPoint> points;
  bool finished = false;

  /// Less what the product may be rounded up by: an accuracy that is exactly the goal reaches it.
  double goal() const { return share * reference.quality - 1e-12; }
  bool reaches(const DimensionPoint& point) const { return point.quality >= goal(); }
  /// The smallest dimension whose quality reaches the goal.
  std::optional<int64_t> smallest() const;
  /// Adds a point in its place.
  void add(const DimensionPoint& point);
};

/// All that is known, for programs.
nlohmann::ordered_json json_of(const DimensionReport& report);

/// The result as a sentence.
std::string conclusion_of(const DimensionReport& report);

/// Title, table and conclusion, as Markdown.
std::string markdown_of(const DimensionReport& report);

/// Quality against dimension, with lines at base, goal and reference. Needs a point.
LinePlot plot_of(const DimensionReport& report);

/// Writes intrinsic.json, intrinsic.md and, where there is a point, intrinsic.svg into the folder, which is
/// made; each is complete or as before. Errors: io.
void write_report(const DimensionReport& report, const std::filesystem::path& folder);

}  // namespace lowrank
