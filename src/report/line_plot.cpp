#include "report/line_plot.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/error.h"
#include "report/markup.h"

namespace lowrank {
namespace {

constexpr double width = 800, height = 480;
constexpr double top = 50, bottom = 420;  // the frame

/// The frame's right edge: labels of lines, and a legend beside, are to the right of it.
double right_of(const LinePlot& plot) {
  return plot.lines.empty() && !plot.legend_beside ? 780 : 610;
}

constexpr double line_of_text = 15, label_gap = 8;

/// Okabe and Ito's colours, which are distinguishable to colour-blind readers.
constexpr std::array<const char*, 7> colours = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                "#56B4E9", "#E69F00", "#6B6B6B"};
constexpr const char* quiet = "#666666";

/// 0.25, 12, 20,000.
std::string number_text(double value) {
  if (std::abs(value) < 1000 || value != std::round(value)) return fmt::format("{:.6g}", value);
  std::string text = fmt::format("{:.0f}", value);
  for (auto place = std::ssize(text) - 3; place > (value < 0 ? 1 : 0); place -= 3) text.insert(place, 1, ',');
  return text;
}

/// Maps values to positions on the page.
struct Axis {
  double low = 0, high = 1;  ///< values, or their logarithms
  double from = 0, to = 1;   ///< positions
  bool logarithmic = false;

  double place(double value) const {
    const double at = logarithmic ? std::log10(value) : value;
    return from + (at - low) / (high - low) * (to - from);
  }
};

/// An axis with a small margin on both sides of the values.
Axis axis_of(const std::vector<double>& values, double from, double to, bool logarithmic) {
  auto [low, high] = std::ranges::minmax(values);
  check(!logarithmic || low > 0, ErrorKind::invalid, "a logarithmic axis cannot show {}", low);
  if (logarithmic) low = std::log10(low);
  if (logarithmic) high = std::log10(high);
  const double air = high > low ? 0.05 * (high - low) : 0.5;
  return {low - air, high + air, from, to, logarithmic};
}

std::string text_at(double x, double y, const std::string& text, const char* anchor, const char* more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, anchor, more,
                     escaped(text));
}

std::string line_between(double x1, double y1, double x2, double y2, const std::string& style) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1, y1, x2, y2,
                     style);
}

/// The frame's left edge: the axis's title and the labels of its ticks are to the left of it.
double left_of(const Axis& y) {
  constexpr double title = 34, widest_character = 7, narrowest = 80;
  size_t longest = 0;
  for (const double tick : linear_ticks(y.low, y.high, 6))
    longest = std::max(longest, number_text(tick).size());
  return std::max(narrowest, title + widest_character * static_cast<double>(longest) + label_gap);
}

std::string grid(const LinePlot& plot, const Axis& x, const Axis& y) {
  const double left = x.from;
  const std::string thin = "class=\"grid\" stroke=\"#dddddd\"";
  const double right = right_of(plot);
  std::string out;
  const auto x_ticks = x.logarithmic ? logarithmic_ticks(std::pow(10, x.low), std::pow(10, x.high))
                                     : linear_ticks(x.low, x.high, 6);
  for (const double tick : x_ticks) {
    out += line_between(x.place(tick), top, x.place(tick), bottom, thin);
    out += text_at(x.place(tick), bottom + 18, number_text(tick), "middle");
  }
  for (const double tick : linear_ticks(y.low, y.high, 6)) {
    out += line_between(left, y.place(tick), right, y.place(tick), thin);
    out += text_at(left - label_gap, y.place(tick) + 4, number_text(tick), "end");
  }
  out += fmt::format(
      "<rect class=\"frame\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"{}\"/>\n",
      left, top, right - left, bottom - top, quiet);
  out += text_at((left + right) / 2, height - 20, plot.x_label, "middle");
  const double middle = (top + bottom) / 2;
  out += text_at(22, middle, plot.y_label, "middle",
                 fmt::format(" transform=\"rotate(-90 22 {})\"", middle).c_str());
  return out + text_at((left + right) / 2, 28, plot.title, "middle", " font-size=\"15\"");
}

/// Dashed lines; labels are moved apart where they would overlap.
std::string reference_lines(std::vector<PlotLine> lines, const Axis& y, double left, double right) {
  std::ranges::stable_sort(lines, std::greater(), &PlotLine::y);
  std::string out;
  double free_from = 0;
  for (const PlotLine& line : lines) {
    const double place = y.place(line.y);
    const double label = std::max(place + 4, free_from);
    free_from = label + line_of_text;
    out += line_between(left, place, right, place,
                        fmt::format("class=\"reference\" stroke=\"{}\" stroke-dasharray=\"6 4\"", quiet));
    out += text_at(right + label_gap, label, line.label, "start");
  }
  return out;
}

std::string marker(double x, double y, size_t series) {
  return fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" class=\"series-{}\" fill=\"{}\"/>\n", x, y,
                     series, colours[series % colours.size()]);
}

std::string series_lines(const LinePlot& plot, const Axis& x, const Axis& y) {
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
        plot.legend_beside ? top + 12 + line_of_text * above : bottom - 12 - line_of_text * below;
    const double legend_left = plot.legend_beside ? x.to : x.from;
    out += marker(legend_left + 16, legend - 4, i);
    out += text_at(legend_left + 28, legend, series.label, "start");
  }
  return out;
}

}  // namespace

std::vector<double> linear_ticks(double low, double high, int count) {
  const double rough = (high - low) / std::max(1, count);
  if (!(rough > 0) || !std::isfinite(rough)) return {low};
  const double power = std::pow(10, std::floor(std::log10(rough)));
  const double lead = rough / power;
  const double step = power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
  std::vector<double> ticks;
  // Whole multiples, so that rounding errors do not accumulate.
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; ++i)
    ticks.push_back(i * step + 0.0);  // no -0
  return ticks;
}

std::vector<double> logarithmic_ticks(double low, double high) {
  const double slack = 1 + 1e-9;
  const bool few = std::log10(high / low) < 3;
  std::vector<double> ticks;
  for (double power = std::floor(std::log10(low)); power <= std::log10(high); ++power) {
    for (const double lead : {1, 2, 5}) {
      const double tick = power < 0 ? lead / std::pow(10, -power) : lead * std::pow(10, power);
      if ((few || lead == 1) && tick * slack >= low && tick <= high * slack) ticks.push_back(tick);
    }
  }
  return ticks.size() < 2 ? linear_ticks(low, high, 5) : ticks;
}

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
  const Axis y = axis_of(ys, bottom, top, false);
  const Axis x = axis_of(xs, left_of(y), right_of(plot), plot.logarithmic_x);
  return fmt::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" width=\"{}\" height=\"{}\" "
             "font-family=\"sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"{}\">\n<rect "
             "class=\"page\" width=\"100%\" height=\"100%\" "
             "fill=\"white\"/>\n",
             width, height, width, height, escaped(plot.title)) +
         grid(plot, x, y) + reference_lines(plot.lines, y, x.from, x.to) + series_lines(plot, x, y) +
         "</svg>\n";
}

}  // namespace lowrank
