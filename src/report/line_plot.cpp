#include "report/line_plot.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/error.h"
#include "report/plot_frame.h"

namespace lowrank {
namespace {

/// The frame's right edge: labels of lines, and a legend beside, are to the right of it.
double right_of(const LinePlot& plot) {
  return plot.lines.empty() && !plot.legend_beside ? plot_right : 610;
}

constexpr double line_of_text = 15;

/// Okabe and Ito's colours, which are distinguishable to colour-blind readers.
constexpr std::array<const char*, 7> colours = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                "#56B4E9", "#E69F00", "#6B6B6B"};

/// Dashed lines; labels are moved apart where they would overlap.
std::string reference_lines(std::vector<PlotLine> lines, const PlotAxis& y, double left, double right) {
  std::ranges::stable_sort(lines, std::greater(), &PlotLine::y);
  std::string out;
  double free_from = 0;
  for (const PlotLine& line : lines) {
    const double place = y.place(line.y);
    const double label = std::max(place + 4, free_from);
    free_from = label + line_of_text;
    out += svg_line(
        left, place, right, place,
        fmt::format("class=\"reference\" stroke=\"{}\" stroke-dasharray=\"6 4\"", plot_quiet_colour));
    out += svg_text(right + plot_label_gap, label, line.label, "start");
  }
  return out;
}

std::string marker(double x, double y, size_t series) {
  return fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" class=\"series-{}\" fill=\"{}\"/>\n", x, y,
                     series, colours[series % colours.size()]);
}

std::string series_lines(const LinePlot& plot, const PlotAxis& x, const PlotAxis& y) {
  std::string out;
  for (size_t i = 0; i < plot.series.size(); ++i) {
    const PlotSeries& series = plot.series[i];
    std::string places;
    std::string markers;
    for (const PlotPoint& point : series.points) {
      const double at_x = x.place(point.x);
      const double at_y = y.place(point.y);
      places += fmt::format("{}{:.1f},{:.1f}", places.empty() ? "" : " ", at_x, at_y);
      // A line of one point has no length.
      if (series.stroke == Stroke::marked || series.points.size() == 1) markers += marker(at_x, at_y, i);
    }
    const bool faint = series.stroke == Stroke::faint;
    out += fmt::format(
        "<polyline points=\"{}\" fill=\"none\" class=\"series-{}\" stroke=\"{}\" stroke-width=\"{}\"{}/>\n{}",
        places, i, colours[i % colours.size()], faint ? 1 : 2, faint ? " stroke-opacity=\"0.45\"" : "",
        markers);
    if (plot.series.size() < 2) continue;
    const auto above = static_cast<double>(i), below = static_cast<double>(plot.series.size() - 1 - i);
    const double legend =
        plot.legend_beside ? plot_top + 12 + line_of_text * above : plot_bottom - 12 - line_of_text * below;
    const double legend_left = plot.legend_beside ? x.to : x.from;
    out += marker(legend_left + 16, legend - 4, i);
    out += svg_text(legend_left + 28, legend, series.label, "start");
  }
  return out;
}

}  // namespace

std::string svg_of(const LinePlot& plot) {
  std::vector<double> xs;
  std::vector<double> ys;
  for (const PlotSeries& series : plot.series) {
    for (const PlotPoint& point : series.points) {
      xs.push_back(point.x);
      ys.push_back(point.y);
    }
  }
  check(!xs.empty(), ErrorKind::invalid, "the chart '{}' has no point", plot.title);
  for (const PlotLine& line : plot.lines) ys.push_back(line.y);
  const auto finite = [](double value) { return std::isfinite(value); };
  check(std::ranges::all_of(xs, finite) && std::ranges::all_of(ys, finite), ErrorKind::invalid,
        "a value of the chart '{}' is not finite", plot.title);
  const PlotAxis y = plot_axis(ys, plot_bottom, plot_top, false);
  const PlotAxis x = plot_axis(xs, left_of_frame(y), right_of(plot), plot.logarithmic_x);
  return svg_document(plot.title, svg_frame({plot.title, plot.x_label, plot.y_label}, x, y) +
                                      reference_lines(plot.lines, y, x.from, x.to) +
                                      series_lines(plot, x, y));
}

}  // namespace lowrank
