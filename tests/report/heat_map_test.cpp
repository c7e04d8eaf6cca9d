#include "report/heat_map.h"

#include <limits>

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace lowrank {
namespace {

HeatMap small_map() {
  return {"a < b", "i", "j", 2, 3, {0, 0.5, 0.5, 1, 1, 0.25}, 0, 1};
}

TEST(HeatMap, CellsOfOneLevelAreOnePath) {
  const std::string svg = svg_of(small_map());
  // Two equal neighbours are one run; nothing is drawn where the value is the lowest.
  EXPECT_NE(svg.find("fill-opacity=\"0.5\" d=\"M1 0h2v1h-2z\""), std::string::npos) << svg;
  EXPECT_NE(svg.find("fill-opacity=\"1\" d=\"M0 1h2v1h-2z\""), std::string::npos) << svg;
  EXPECT_NE(svg.find("fill-opacity=\"0.25\" d=\"M2 1h1v1h-1z\""), std::string::npos) << svg;
  EXPECT_EQ(svg.find("d=\"M0 0h1v1h-1zM"), std::string::npos) << svg;
  EXPECT_NE(svg.find("a &lt; b"), std::string::npos);
  EXPECT_EQ(svg.find("a < b"), std::string::npos);
  EXPECT_EQ(svg, svg_of(small_map()));
}

TEST(HeatMap, ValuesBeyondTheScaleAreItsEnds) {
  HeatMap map = small_map();
  map.values = {-1, 2, 0.5, 0.5, 0.5, 0.5};
  const std::string svg = svg_of(map);
  EXPECT_NE(svg.find("fill-opacity=\"1\" d=\"M1 0h1v1h-1z\""), std::string::npos) << svg;
}

TEST(HeatMap, RefusesWhatCannotBeDrawn) {
  HeatMap map = small_map();
  map.values.pop_back();
  test::expect_error(ErrorKind::invalid, "", "5 values for 2 x 3 cells", [&] { svg_of(map); });
  map.values.push_back(std::numeric_limits<double>::quiet_NaN());
  test::expect_error(ErrorKind::invalid, "", "not finite", [&] { svg_of(map); });
  map = small_map();
  map.high = 0;
  test::expect_error(ErrorKind::invalid, "", "scale", [&] { svg_of(map); });
  test::expect_error(ErrorKind::invalid, "", "no cell", [] {
    svg_of(HeatMap{"none", "", "", 0, 0, {}, 0, 1});
  });
}

}  // namespace
}  // namespace lowrank
