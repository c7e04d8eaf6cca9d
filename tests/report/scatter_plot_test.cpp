// Quality against cost: the front, and where points and their names are drawn.
#include "report/scatter_plot.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/svg.h"

namespace lowrank {
namespace {

using test::elements_of;
using test::number_after;

ScatterPlot small_plot() {
  ScatterPlot plot;
  plot.title = "a < b";
  plot.x_label = "parameters";
  plot.y_label = "score";
  plot.logarithmic_x = true;
  plot.points = {{"worse", 1000, 0.6, 0.01}, {"good", 100, 0.7}, {"best", 10'000, 0.8}, {"dear", 1e6, 0.8}};
  return plot;
}

/// Where the name of a point begins.
std::pair<double, double> place_of(const std::string& svg, const std::string& label) {
  const size_t text = svg.rfind("<text", svg.find(">" + label + "<"));
  return {number_after(svg, "x=\"", text), number_after(svg, "y=\"", text)};
}

TEST(ScatterPlot, TheFrontIsWhatNothingCheaperReaches) {
  ScatterPlot plot = small_plot();
  EXPECT_EQ(front_of(plot), (std::vector<size_t>{1, 2}));
  plot.higher_is_better = false;
  EXPECT_EQ(front_of(plot), (std::vector<size_t>{1, 0}));
  plot.points = {{"one", 5, 1}, {"same", 5, 1}, {"better", 5, 0.5}};
  EXPECT_EQ(front_of(plot), (std::vector<size_t>{2}));
}

TEST(ScatterPlot, IsWellFormedAndHasEachPoint) {
  ScatterPlot plot = small_plot();
  plot.reference = PlotLine{"base", 0.55};
  const std::string svg = svg_of(plot);
  const std::vector<std::string> elements = elements_of(svg);
  EXPECT_EQ(elements.front(), "svg");
  EXPECT_EQ(std::ranges::count(elements, "circle"), 4);
  for (const char* text : {">a &lt; b<", ">worse<", ">good<", ">best<", ">dear<", ">base<"})
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  EXPECT_EQ(svg, svg_of(plot));
}

TEST(ScatterPlot, NamesLieApart) {
  ScatterPlot plot = small_plot();
  plot.points.clear();
  for (int i = 0; i < 8; ++i)
    plot.points.push_back({fmt::format("method {}", i), 1000.0 + i, 0.7 + 0.001 * i});
  plot.points.push_back({"far", 1e6, 0.9});
  const std::string svg = svg_of(plot);
  std::vector<std::pair<double, double>> places;
  for (int i = 0; i < 8; ++i) places.push_back(place_of(svg, fmt::format("method {}", i)));
  for (size_t i = 0; i < places.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const bool apart = std::abs(places[i].first - places[j].first) > 40 ||
                         std::abs(places[i].second - places[j].second) > 8;
      EXPECT_TRUE(apart) << i << " " << j;
    }
  }
}

TEST(ScatterPlot, APointThatIsWorseByFarLiesOnTheEdgeWithItsValue) {
  ScatterPlot plot = small_plot();
  plot.points.push_back({"lost", 500, -40});
  const std::string svg = svg_of(plot);
  EXPECT_NE(svg.find(">lost (-40)<"), std::string::npos);
  EXPECT_EQ(std::ranges::count(elements_of(svg), "circle"), 4);
  EXPECT_EQ(svg.find(">-40<"), std::string::npos);  // no tick so low
  plot.higher_is_better = false;
  plot.points.back().y = 40;
  EXPECT_NE(svg_of(plot).find(">lost (40)<"), std::string::npos);
}

TEST(ScatterPlot, OnePointAndEqualPointsAreDrawn) {
  ScatterPlot plot = small_plot();
  plot.points = {{"one", 5, 1}};
  elements_of(svg_of(plot));
  plot.points.push_back({"other", 5, 1});
  elements_of(svg_of(plot));
}

TEST(ScatterPlot, RefusesWhatCannotBeDrawn) {
  ScatterPlot plot = small_plot();
  plot.points.front().deviation = std::nan("");
  test::expect_error(ErrorKind::invalid, "not finite", "", [&] { svg_of(plot); });
  plot.points.front() = {"free", 0, 1};
  test::expect_error(ErrorKind::invalid, "cannot show 0", "", [&] { svg_of(plot); });
  plot.points.clear();
  test::expect_error(ErrorKind::invalid, "has no point", "", [&] { svg_of(plot); });
}

}  // namespace
}  // namespace lowrank
