#include "report/plot_frame.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/error.h"
#include "report/markup.h"

namespace lowrank {
namespace {

/// 0.25, 12, 20,000.
std::string number_text(double value) {
  if (std::abs(value) < 1000 || value != std::round(value)) return fmt::format("{:.6g}", value);
  std::string text = fmt::format("{:.0f}", value);
  for (auto place = std::ssize(text) - 3; place > (value < 0 ? 1 : 0); place -= 3) text.insert(place, 1, ',');
  return text;
}

}  // namespace

double PlotAxis::place(double value) const {
  const double at = logarithmic ? std::log10(value) : value;
  return from + (at - low) / (high - low) * (to - from);
}

PlotAxis plot_axis(const std::vector<double>& values, double from, double to, bool logarithmic) {
  auto [low, high] = std::ranges::minmax(values);
  check(!logarithmic || low > 0, ErrorKind::invalid, "a logarithmic axis cannot show {}", low);
  if (logarithmic) low = std::log10(low);
  if (logarithmic) high = std::log10(high);
  const double air = high > low ? 0.05 * (high - low) : 0.5;
  return {low - air, high + air, from, to, logarithmic};
}

double left_of_frame(const PlotAxis& y) {
  constexpr double title = 34, widest_character = 7, narrowest = 80;
  size_t longest = 0;
  for (const double tick : linear_ticks(y.low, y.high, 6))
    longest = std::max(longest, number_text(tick).size());
  return std::max(narrowest, title + widest_character * static_cast<double>(longest) + plot_label_gap);
}

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

std::string svg_frame(const PlotTitles& titles, const PlotAxis& x, const PlotAxis& y) {
  const double left = x.from, right = x.to;
  const std::string thin = "class=\"grid\" stroke=\"#dddddd\"";
  std::string out;
  const auto x_ticks = x.logarithmic ? logarithmic_ticks(std::pow(10, x.low), std::pow(10, x.high))
                                     : linear_ticks(x.low, x.high, 6);
  for (const double tick : x_ticks) {
    out += svg_line(x.place(tick), plot_top, x.place(tick), plot_bottom, thin);
    out += svg_text(x.place(tick), plot_bottom + 18, number_text(tick), "middle");
  }
  for (const double tick : linear_ticks(y.low, y.high, 6)) {
    out += svg_line(left, y.place(tick), right, y.place(tick), thin);
    out += svg_text(left - plot_label_gap, y.place(tick) + 4, number_text(tick), "end");
  }
  out += fmt::format(
      "<rect class=\"frame\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"{}\"/>\n",
      left, plot_top, right - left, plot_bottom - plot_top, plot_quiet_colour);
  out += svg_text((left + right) / 2, plot_height - 20, titles.x, "middle");
  const double middle = (plot_top + plot_bottom) / 2;
  out += svg_text(22, middle, titles.y, "middle", fmt::format(" transform=\"rotate(-90 22 {})\"", middle));
  return out + svg_text((left + right) / 2, 28, titles.title, "middle", " font-size=\"15\"");
}

std::string svg_text(double x, double y, const std::string& text, const char* anchor,
                     const std::string& more) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, anchor, more,
                     escaped(text));
}

std::string svg_line(double x1, double y1, double x2, double y2, const std::string& attributes) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1, y1, x2, y2,
                     attributes);
}

std::string svg_document(const std::string& title, const std::string& elements) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "font-family=\"sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"{2}\">\n<rect class=\"page\" "
      "width=\"100%\" height=\"100%\" fill=\"white\"/>\n{3}</svg>\n",
      plot_width, plot_height, escaped(title), elements);
}

}  // namespace lowrank
