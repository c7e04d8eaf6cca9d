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

/// Round numbers within [low, high]: about `count` of them, multiples of 1, 2 or 5 times a power of ten.
std::vector<double> linear_ticks(double low, double high, int count);

/// Powers of ten within [low, high], with 2 and 5 times them if the range is under three decades; linear
/// ticks if fewer than two would be left. 0 < low.
std::vector<double> logarithmic_ticks(double low, double high);

/// The chart as an SVG document, 800 x 480; the same text for the same chart. Labels are escaped. The classes
/// `page`, `grid`, `frame`, `reference` and `series-N` let the style sheet of a page that holds it recolour
/// it. Errors: invalid when it has no point, a value is not finite, or a logarithmic axis has a value that is
/// not positive.
std::string svg_of(const LinePlot& plot);

}  // namespace lowrank
