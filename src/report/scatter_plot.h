#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "report/line_plot.h"

namespace lowrank {

/// A point with its name beside it.
struct ScatterPoint {
  std::string label;
  double x = 0, y = 0;
  double deviation = 0;  ///< of y, drawn as a bar up and down
};

/// What is got, y, for what is spent, x.
struct ScatterPlot {
  std::string title, x_label, y_label;
  bool logarithmic_x = false;  ///< all x are positive
  bool higher_is_better = true;
  std::vector<ScatterPoint> points;
  std::optional<PlotLine> reference = {};
};

/// The Pareto front: the points of which no other is at least as good for at most as much, by x; of equal
/// points the first.
std::vector<size_t> front_of(const ScatterPlot& plot);

/// The chart as an SVG document, 800 x 480; the same text for the same chart. The front is joined by steps
/// and its points are dark; names are placed where they are free of others, as far as there is room. A point
/// that is worse than the rest by far (two ranges of the middle half below it) would flatten the chart: it
/// lies on the edge, as a triangle, with its value. Classes: as svg_of(LinePlot), `front`, `point`. Errors:
/// invalid when it has no point, a value is not finite, or a logarithmic axis has a value that is not
/// positive.
std::string svg_of(const ScatterPlot& plot);

}  // namespace lowrank
