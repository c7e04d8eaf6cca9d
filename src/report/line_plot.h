#pragma once

#include <string>
#include <vector>

namespace lowrank {

struct PlotPoint {
  double x = 0, y = 0;
};

/// How a series is drawn: a line with a marker at each point, a line, or a thin pale line.
enum class Stroke { marked, line, faint };

/// Points joined by a line in order.
struct PlotSeries {
  std::string label;  ///< in a legend, if there are several series
  std::vector<PlotPoint> points;
  Stroke stroke = Stroke::marked;
};

/// A horizontal line across the whole chart, its label at the right.
struct PlotLine {
  std::string label;
  double y = 0;
};

/// A line chart.
struct LinePlot {
  std::string title, x_label, y_label;
  bool logarithmic_x = false;  ///< all x are positive
  std::vector<PlotSeries> series;
  std::vector<PlotLine> lines;
  bool legend_beside = false;  ///< at the right of the chart, not in its lower left corner
};

/// The chart as an SVG document, 800 x 480; the same text for the same chart. Labels are escaped. The classes
/// `page`, `grid`, `frame`, `reference` and `series-N` let the style sheet of a page that holds it recolour
/// it. Errors: invalid when it has no point, a value is not finite, or a logarithmic axis has a value that is
/// not positive.
std::string svg_of(const LinePlot& plot);

}  // namespace lowrank
