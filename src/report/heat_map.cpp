#include "report/heat_map.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/error.h"
#include "report/markup.h"
#include "report/plot_frame.h"

namespace lowrank {
namespace {

constexpr int width = 360, height = 300;
constexpr int left = 56, top = 36, across = 220, down = 214;  // the frame
constexpr int scale_left = 296, scale_width = 12;
constexpr int levels = 33;  // of opacity, the first of which is invisible

std::string text_at(double x, double y, const std::string& text, const char* anchor, const char* more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, anchor, more,
                     escaped(text));
}

int level_of(const HeatMap& map, double value) {
  const double share = std::clamp((value - map.low) / (map.high - map.low), 0.0, 1.0);
  return static_cast<int>(std::lround(share * (levels - 1)));
}

std::string heat(int level, const std::string& path) {
  return fmt::format("<path class=\"heat\" fill=\"#005a92\" fill-opacity=\"{:.3g}\" d=\"{}\"/>\n",
                     static_cast<double>(level) / (levels - 1), path);
}

/// One path for each level: runs of cells of a row, in units of cells.
std::string cells_of(const HeatMap& map) {
  std::array<std::string, levels> paths;
  for (int64_t row = 0; row < map.rows; ++row) {
    const auto level = [&](int64_t column) {
      return level_of(map, map.values[static_cast<size_t>(row * map.columns + column)]);
    };
    for (int64_t begin = 0, end = 0; begin < map.columns; begin = end) {
      const int of_run = level(begin);
      for (end = begin + 1; end < map.columns && level(end) == of_run;) ++end;
      paths[static_cast<size_t>(of_run)] +=
          fmt::format("M{} {}h{}v1h-{}z", begin, row, end - begin, end - begin);
    }
  }
  std::string out =
      fmt::format("<g shape-rendering=\"crispEdges\" transform=\"translate({} {}) scale({:.6g} {:.6g})\">\n",
                  left, top, static_cast<double>(across) / static_cast<double>(map.columns),
                  static_cast<double>(down) / static_cast<double>(map.rows));
  for (int level = 1; level < levels; ++level) {
    if (!paths[static_cast<size_t>(level)].empty()) out += heat(level, paths[static_cast<size_t>(level)]);
  }
  return out + "</g>\n";
}

/// The numbers of rows or columns that are written beside them: 1, and round ones.
std::vector<int64_t> shown_numbers(int64_t count) {
  std::vector<int64_t> numbers = {1};
  for (const double tick : linear_ticks(1, static_cast<double>(count), 6)) {
    const auto number = static_cast<int64_t>(std::lround(tick));
    if (std::abs(tick - std::round(tick)) < 1e-9 && number > numbers.back()) numbers.push_back(number);
  }
  return numbers;
}

std::string axes_of(const HeatMap& map) {
  std::string out;
  for (const int64_t number : shown_numbers(map.columns)) {
    const double middle = (static_cast<double>(number) - 0.5) / static_cast<double>(map.columns);
    out += text_at(left + middle * across, top + down + 15, std::to_string(number), "middle");
  }
  for (const int64_t number : shown_numbers(map.rows)) {
    const double middle = (static_cast<double>(number) - 0.5) / static_cast<double>(map.rows);
    out += text_at(left - 6, top + middle * down + 4, std::to_string(number), "end");
  }
  constexpr double title_x = left + across / 2.0, side = 18, side_y = top + down / 2.0;
  out += text_at(title_x, 20, map.title, "middle");
  out += text_at(title_x, height - 12, map.column_label, "middle");
  out += text_at(side, side_y, map.row_label, "middle",
                 fmt::format(" transform=\"rotate(-90 {} {})\"", side, side_y).c_str());
  return out;
}

std::string frame(int x, int w) {
  return fmt::format(
      "<rect class=\"frame\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" "
      "stroke=\"#666666\"/>\n",
      x, top, w, down);
}

std::string scale_of(const HeatMap& map) {
  std::string out =
      fmt::format("<g shape-rendering=\"crispEdges\" transform=\"translate({} {}) scale({} {:.6g})\">\n",
                  scale_left, top, scale_width, static_cast<double>(down) / levels);
  for (int level = 1; level < levels; ++level)
    out += heat(level, fmt::format("M0 {}h1v1h-1z", levels - 1 - level));
  out += "</g>\n" + frame(scale_left, scale_width);
  out += text_at(scale_left + scale_width + 4, top + 9, fmt::format("{:.3g}", map.high), "start");
  return out + text_at(scale_left + scale_width + 4, top + down, fmt::format("{:.3g}", map.low), "start");
}

}  // namespace

std::string svg_of(const HeatMap& map) {
  check(map.rows > 0 && map.columns > 0, ErrorKind::invalid, "the map '{}' has no cell", map.title);
  check(std::ssize(map.values) == map.rows * map.columns, ErrorKind::invalid,
        "the map '{}' has {} values for {} x {} cells", map.title, map.values.size(), map.rows, map.columns);
  check(std::ranges::all_of(map.values, [](double value) { return std::isfinite(value); }) &&
            map.low < map.high,
        ErrorKind::invalid, "a value or the scale of the map '{}' is not finite", map.title);
  return fmt::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" width=\"{}\" height=\"{}\" "
             "font-family=\"sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"{}\">\n<rect "
             "class=\"page\" width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
             width, height, width, height, escaped(map.title)) +
         cells_of(map) + frame(left, across) + axes_of(map) + scale_of(map) + "</svg>\n";
}

}  // namespace lowrank
