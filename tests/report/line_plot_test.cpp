// Charts: ticks, and SVG that is well-formed XML with everything in its place.
#include "report/line_plot.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "report/plot_frame.h"
#include "support/expect_error.h"
#include "support/svg.h"

namespace lowrank {
namespace {

using test::elements_of;
using test::number_after;

LinePlot small_plot() {
  LinePlot plot;
  plot.title = "a < b & \"c\"";
  plot.x_label = "d";
  plot.y_label = "accuracy";
  plot.logarithmic_x = true;
  plot.series = {{"one", {{100, 0.5}, {1000, 0.75}, {10000, 1}}}};
  plot.lines = {{"goal", 0.9}};
  return plot;
}

TEST(LinePlot, TicksAreRoundNumbers) {
  EXPECT_EQ(linear_ticks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  const std::vector<double> across = linear_ticks(-0.3, 0.21, 5);
  ASSERT_EQ(across.size(), 6);
  for (size_t i = 0; i < across.size(); ++i)
    EXPECT_NEAR(across[i], -0.3 + 0.1 * static_cast<double>(i), 1e-12);
  EXPECT_EQ(logarithmic_ticks(90, 11000), (std::vector<double>{100, 200, 500, 1000, 2000, 5000, 10000}));
  EXPECT_EQ(logarithmic_ticks(1, 1e6), (std::vector<double>{1, 10, 100, 1e3, 1e4, 1e5, 1e6}));
  EXPECT_EQ(logarithmic_ticks(300, 390), (std::vector<double>{300, 320, 340, 360, 380}));
}

TEST(LinePlot, IsWellFormedAndEscapesTexts) {
  const std::string svg = svg_of(small_plot());
  const std::vector<std::string> elements = elements_of(svg);
  EXPECT_EQ(elements.front(), "svg");
  EXPECT_EQ(std::ranges::count(elements, "circle"), 3);
  EXPECT_EQ(std::ranges::count(elements, "polyline"), 1);
  EXPECT_NE(svg.find(">a &lt; b &amp; &quot;c&quot;<"), std::string::npos);
  EXPECT_NE(svg.find(">10,000<"), std::string::npos);
  EXPECT_NE(svg.find(">goal<"), std::string::npos);
  EXPECT_EQ(svg, svg_of(small_plot()));
}

TEST(LinePlot, PlacesPointsByTheirLogarithms) {
  const std::string svg = svg_of(small_plot());
  const size_t second = svg.find("<circle", svg.find("<circle") + 1);
  const size_t third = svg.find("<circle", second + 1);
  const double x[] = {number_after(svg, "<circle cx=\""), number_after(svg, "cx=\"", second),
                      number_after(svg, "cx=\"", third)};
  EXPECT_NEAR(x[1] - x[0], x[2] - x[1], 0.2);
  EXPECT_GT(x[1] - x[0], 100);
  // Upwards on the page is downwards in y.
  EXPECT_LT(number_after(svg, "cy=\"", third), number_after(svg, "cy=\"", second));
  LinePlot linear = small_plot();
  linear.logarithmic_x = false;
  const std::string even = svg_of(linear);
  const size_t middle = even.find("<circle", even.find("<circle") + 1);
  EXPECT_LT(number_after(even, "cx=\"", middle) - number_after(even, "<circle cx=\""), 60);
}

TEST(LinePlot, MakesRoomForLongLabelsOfTicks) {
  const auto frame = [](double y) {
    LinePlot plot = small_plot();
    plot.lines.clear();
    plot.series = {{"one", {{100, y}, {1000, 2 * y}}}};
    const std::string svg = svg_of(plot);
    return number_after(svg, "<rect class=\"frame\" x=\"");
  };
  EXPECT_EQ(frame(1), 80);
  EXPECT_GE(frame(0.00012345), 22 + 12 + 7 * 7);
}

TEST(LinePlot, KeepsLabelsOfCloseLinesApart) {
  LinePlot plot = small_plot();
  plot.lines = {{"low", 0.9}, {"high", 0.901}};
  const std::string svg = svg_of(plot);
  const auto y_of = [&](const std::string& label) {
    const size_t text = svg.rfind("<text", svg.find(">" + label + "<"));
    return number_after(svg, "y=\"", text);
  };
  EXPECT_GE(y_of("low") - y_of("high"), 12);
}

TEST(LinePlot, NamesSeriesWhereThereAreSeveral) {
  LinePlot plot = small_plot();
  EXPECT_EQ(svg_of(plot).find(">one<"), std::string::npos);
  plot.series.push_back({"two", {{100, 0.6}}});
  const std::string svg = svg_of(plot);
  EXPECT_NE(svg.find(">one<"), std::string::npos);
  EXPECT_NE(svg.find(">two<"), std::string::npos);
  elements_of(svg);
}

TEST(LinePlot, RefusesWhatCannotBeDrawn) {
  LinePlot plot = small_plot();
  plot.series.front().points.clear();
  test::expect_error(ErrorKind::invalid, "has no point", "", [&] { svg_of(plot); });
  plot.series.front().points = {{0, 1}};
  test::expect_error(ErrorKind::invalid, "cannot show 0", "", [&] { svg_of(plot); });
  plot.series.front().points = {{1, std::nan("")}};
  test::expect_error(ErrorKind::invalid, "not finite", "", [&] { svg_of(plot); });
  plot.series.front().points = {{5, 1}};  // one value on each axis
  elements_of(svg_of(plot));
}

TEST(LinePlot, ALegendBesideIsRightOfTheFrame) {
  LinePlot plot = small_plot();
  plot.lines.clear();
  plot.series.push_back({"second", {{100, 0.2}, {10000, 0.3}}});
  const std::string inside = svg_of(plot);
  plot.legend_beside = true;
  const std::string beside = svg_of(plot);
  elements_of(beside);
  const auto label_at = [](const std::string& svg) {
    return number_after(svg, "<text x=\"", svg.rfind("<text", svg.find(">second<")));
  };
  const auto frame_right = [](const std::string& svg) {
    const size_t frame = svg.find("class=\"frame\"");
    return number_after(svg, " x=\"", frame) + number_after(svg, " width=\"", frame);
  };
  EXPECT_LT(label_at(inside), frame_right(inside));
  EXPECT_GT(label_at(beside), frame_right(beside));
}

}  // namespace
}  // namespace lowrank
