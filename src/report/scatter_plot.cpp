#include "report/scatter_plot.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "base/error.h"
#include "report/plot_frame.h"

namespace lowrank {
namespace {

constexpr const char* front_colour = "#0072B2";
constexpr const char* point_colour = "#56B4E9";
constexpr double radius = 4;

struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;

  double overlap(const Box& other) const {
    const double wide = std::min(right, other.right) - std::max(left, other.left);
    const double high = std::min(bottom, other.bottom) - std::max(top, other.top);
    return wide > 0 && high > 0 ? wide * high : 0;
  }
  double area() const { return (right - left) * (bottom - top); }
};

/// A point on the page.
struct Placed {
  double x = 0, y = 0, bar = 0;  ///< bar: half its length
  std::string label;
  bool in_front = false, beyond = false;
};

/// The worst y that is drawn in its place: two ranges of the middle half beyond that half.
double worst_shown(const ScatterPlot& plot) {
  std::vector<double> ys;
  ys.reserve(plot.points.size());
  for (const ScatterPoint& point : plot.points) ys.push_back(point.y);
  std::ranges::sort(ys);
  const double low = ys[ys.size() / 4], high = ys[(3 * ys.size()) / 4];
  const double range = 2 * (high - low);
  return plot.higher_is_better ? low - range : high + range;
}

/// Where a label of this size may lie: right or left of a point, above or below it, then further up and down
/// at either side.
std::vector<Box> places_beside(const Placed& point, double wide, double high) {
  constexpr double gap = radius + 3;
  std::vector<Box> places;
  const auto add = [&](double left, double top) { places.push_back({left, top, left + wide, top + high}); };
  const double middle = point.y - high / 2;
  add(point.x + gap, middle);
  add(point.x - gap - wide, middle);
  add(point.x - wide / 2, point.y - gap - high);
  add(point.x - wide / 2, point.y + gap);
  for (int steps = 1; steps <= 8; ++steps) {
    for (const int direction : {-1, 1}) {
      const double top = middle + direction * steps * 0.8 * high;
      add(point.x + gap, top);
      add(point.x - gap - wide, top);
    }
  }
  return places;
}

/// How bad a place is: what it covers, and what of it is outside the frame.
double cost_of(const Box& place, const Box& frame, const std::vector<Box>& taken) {
  double cost = 10 * (place.area() - place.overlap(frame));
  for (const Box& other : taken) cost += 4 * place.overlap(other);
  return cost;
}

/// The labels, those of the front first, so that they lie best.
std::string labels_of(const std::vector<Placed>& points, const Box& frame) {
  constexpr double letter = 6.2, high = 13;
  std::vector<Box> taken;
  taken.reserve(2 * points.size());
  for (const Placed& point : points)
    taken.push_back({point.x - radius, point.y - radius, point.x + radius, point.y + radius});
  std::vector<size_t> order(points.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::greater(), [&](size_t i) { return points[i].in_front; });
  std::string out;
  for (const size_t i : order) {
    const double wide = letter * static_cast<double>(points[i].label.size());
    const auto places = places_beside(points[i], wide, high);
    const auto away = [&](const Box& place) {
      return std::abs((place.top + place.bottom) / 2 - points[i].y);
    };
    const Box best = *std::ranges::min_element(
        places, {}, [&](const Box& place) { return cost_of(place, frame, taken) + away(place); });
    if (away(best) > 1.5 * high)
      out += svg_line(points[i].x, points[i].y, best.left < points[i].x ? best.right : best.left,
                      (best.top + best.bottom) / 2,
                      fmt::format("class=\"point\" stroke=\"{}\" stroke-width=\"0.5\"", point_colour));
    taken.push_back(best);
    out += svg_text(best.left, best.bottom - 3, points[i].label, "start",
                    points[i].in_front ? " font-weight=\"bold\"" : "");
  }
  return out;
}

std::string mark_of(const Placed& point) {
  const std::string paint = fmt::format("class=\"{}\" fill=\"{}\"", point.in_front ? "front" : "point",
                                        point.in_front ? front_colour : point_colour);
  if (point.beyond)
    return fmt::format("<path d=\"M{:.1f} {:.1f}l-5 -8h10z\" {}/>\n", point.x, point.y + radius, paint);
  std::string out;
  if (point.bar > 0)
    out = svg_line(point.x, point.y - point.bar, point.x, point.y + point.bar,
                   fmt::format("class=\"point\" stroke=\"{}\"", point_colour));
  return out +
         fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" {}/>\n", point.x, point.y, radius, paint);
}

/// The front as steps: for so much, this is what can be had.
std::string front_line(const std::vector<Placed>& points, const std::vector<size_t>& front) {
  std::string path;
  for (const size_t i : front)
    path += path.empty() ? fmt::format("M{:.1f} {:.1f}", points[i].x, points[i].y)
                         : fmt::format("H{:.1f}V{:.1f}", points[i].x, points[i].y);
  return fmt::format("<path d=\"{}\" class=\"front\" fill=\"none\" stroke=\"{}\" stroke-opacity=\"0.5\"/>\n",
                     path, front_colour);
}

void require_finite(const ScatterPlot& plot) {
  check(!plot.points.empty(), ErrorKind::invalid, "the chart '{}' has no point", plot.title);
  const auto finite = [](const ScatterPoint& point) {
    return std::isfinite(point.x) && std::isfinite(point.y) && std::isfinite(point.deviation);
  };
  check(std::ranges::all_of(plot.points, finite), ErrorKind::invalid,
        "a value of the chart '{}' is not finite", plot.title);
}

}  // namespace

std::vector<size_t> front_of(const ScatterPlot& plot) {
  std::vector<size_t> order(plot.points.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const double sign = plot.higher_is_better ? 1 : -1;
  std::ranges::stable_sort(order, [&](size_t i, size_t j) {
    const ScatterPoint &one = plot.points[i], &other = plot.points[j];
    return one.x != other.x ? one.x < other.x : sign * one.y > sign * other.y;
  });
  std::vector<size_t> front;
  for (const size_t i : order)
    if (front.empty() || sign * plot.points[i].y > sign * plot.points[front.back()].y) front.push_back(i);
  return front;
}

std::string svg_of(const ScatterPlot& plot) {
  require_finite(plot);
  const double worst = worst_shown(plot);
  const auto shown = [&](double y) {
    return plot.higher_is_better ? std::max(y, worst) : std::min(y, worst);
  };
  std::vector<double> xs;
  std::vector<double> ys;
  for (const ScatterPoint& point : plot.points) {
    xs.push_back(point.x);
    ys.push_back(shown(point.y - point.deviation));
    ys.push_back(shown(point.y + point.deviation));
  }
  if (plot.reference && shown(plot.reference->y) == plot.reference->y) ys.push_back(plot.reference->y);
  const PlotAxis y = plot_axis(ys, plot_bottom, plot_top, false);
  const PlotAxis x = plot_axis(xs, left_of_frame(y), plot_right, plot.logarithmic_x);
  const std::vector<size_t> front = front_of(plot);
  std::vector<Placed> points;
  points.reserve(plot.points.size());
  for (size_t i = 0; i < plot.points.size(); ++i) {
    const ScatterPoint& point = plot.points[i];
    const bool beyond = shown(point.y) != point.y;
    const double bar = beyond ? 0 : y.place(point.y) - y.place(point.y + point.deviation);
    points.push_back({x.place(point.x), y.place(shown(point.y)), bar,
                      beyond ? fmt::format("{} ({:.4g})", point.label, point.y) : point.label,
                      std::ranges::find(front, i) != front.end(), beyond});
  }
  std::string drawn = svg_frame({plot.title, plot.x_label, plot.y_label}, x, y);
  if (plot.reference && shown(plot.reference->y) == plot.reference->y) {
    const double at = y.place(plot.reference->y);
    drawn += svg_line(
        x.from, at, x.to, at,
        fmt::format("class=\"reference\" stroke=\"{}\" stroke-dasharray=\"6 4\"", plot_quiet_colour));
    drawn += svg_text(x.from + plot_label_gap, at - 4, plot.reference->label, "start");
  }
  drawn += front_line(points, front);
  for (const Placed& point : points) drawn += mark_of(point);
  return svg_document(plot.title, drawn + labels_of(points, {x.from, plot_top, x.to, plot_bottom}));
}

}  // namespace lowrank
