#pragma once

#include <string>
#include <vector>

namespace lowrank {

/// What charts share: a page of this size, with the frame between these heights, and text of 12 units.
inline constexpr double plot_width = 800, plot_height = 480;
inline constexpr double plot_top = 50, plot_bottom = 420, plot_right = 780;
/// Between a label and what it belongs to.
inline constexpr double plot_label_gap = 8;
/// Colour of the frame and of reference lines.
inline constexpr const char* plot_quiet_colour = "#666666";

/// Maps values to positions on the page.
struct PlotAxis {
  double low = 0, high = 1;  ///< values, or their logarithms
  double from = 0, to = 1;   ///< positions
  bool logarithmic = false;

  double place(double value) const;
};

/// An axis with a small margin on both sides of the values, of which there is at least one. Errors: invalid
/// when a logarithmic axis has a value that is not positive.
PlotAxis plot_axis(const std::vector<double>& values, double from, double to, bool logarithmic);

/// The frame's left edge: the title of the vertical axis and the labels of its ticks are to the left of it.
double left_of_frame(const PlotAxis& y);

/// Round numbers within [low, high]: about `count` of them, multiples of 1, 2 or 5 times a power of ten.
std::vector<double> linear_ticks(double low, double high, int count);

/// Powers of ten within [low, high], with 2 and 5 times them if the range is under three decades; linear
/// ticks if fewer than two would be left. 0 < low.
std::vector<double> logarithmic_ticks(double low, double high);

/// The names of a chart and of its axes.
struct PlotTitles {
  std::string title, x, y;
};

/// Grid, ticks, frame and names, as elements of an SVG document. Classes: `grid`, `frame`.
std::string svg_frame(const PlotTitles& titles, const PlotAxis& x, const PlotAxis& y);

/// A text, escaped; `anchor`: "start", "middle" or "end"; `more`: attributes, each after a space.
std::string svg_text(double x, double y, const std::string& text, const char* anchor,
                     const std::string& more = "");

/// A line with these attributes.
std::string svg_line(double x1, double y1, double x2, double y2, const std::string& attributes);

/// The document around a chart's elements: its size, font, name, and a white page of class `page`.
std::string svg_document(const std::string& title, const std::string& elements);

}  // namespace lowrank
