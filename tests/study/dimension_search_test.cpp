// The search for the smallest dimension that suffices, on qualities whose threshold is known.
#include "study/dimension_search.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace lowrank {
namespace {

/// A quality that rises through 0.5 exactly at `threshold`, and how often it was asked.
struct Rising {
  int64_t threshold = 1;
  int asked = 0;

  double operator()(int64_t dimension) {
    ++asked;
    return static_cast<double>(dimension) / static_cast<double>(dimension + threshold);
  }
};

DimensionSearch search(Rising& quality, const DimensionRange& range) {
  return smallest_dimension([&](int64_t dimension) { return quality(dimension); }, 0.5, range);
}

TEST(DimensionSearch, FindsKnownThresholdsToThePrecision) {
  for (const int64_t threshold : {101, 137, 500, 1600, 1601, 40000, 99999}) {
    for (const double precision : {1.05, 1.25, 2.0}) {
      Rising quality{threshold};
      const DimensionSearch found = search(quality, {100, 100000, precision});
      ASSERT_TRUE(found.smallest) << threshold;
      EXPECT_GE(*found.smallest, threshold);
      EXPECT_LE(static_cast<double>(*found.smallest), precision * static_cast<double>(threshold))
          << threshold;
    }
  }
}

TEST(DimensionSearch, IsExactBetweenSmallNumbers) {
  for (int64_t threshold = 1; threshold <= 40; ++threshold) {
    Rising quality{threshold};
    EXPECT_EQ(search(quality, {1, 40, 1.001}).smallest, threshold);
  }
}

TEST(DimensionSearch, TriesALadderOfFourThenHalvesTheGap) {
  Rising quality{700};
  const DimensionSearch found = search(quality, {100, 100000, 1.25});
  // 100 and 400 miss, 1600 hits; the middles are sqrt(400 * 1600) = 800, 566 and 673.
  std::vector<int64_t> dimensions;
  for (const TriedDimension& tried : found.tried) dimensions.push_back(tried.dimension);
  EXPECT_EQ(dimensions, (std::vector<int64_t>{100, 400, 566, 673, 800, 1600}));
  EXPECT_EQ(quality.asked, 6);
  EXPECT_EQ(found.smallest, 800);
  EXPECT_DOUBLE_EQ(found.tried.front().quality, 100.0 / 800);
}

TEST(DimensionSearch, NeverAsksTwiceAndEndsAtTheBounds) {
  Rising beyond{1001};
  const DimensionSearch none = search(beyond, {10, 1000, 1.25});
  EXPECT_FALSE(none.smallest);
  EXPECT_EQ(none.tried.back().dimension, 1000);
  EXPECT_EQ(beyond.asked, 5);  // 10, 40, 160, 640, 1000
  Rising below{3};
  const DimensionSearch first = search(below, {10, 1000, 1.25});
  EXPECT_EQ(first.smallest, 10);
  EXPECT_EQ(below.asked, 1);
  Rising single{7};
  EXPECT_EQ(search(single, {7, 7, 1.25}).smallest, 7);
  EXPECT_EQ(single.asked, 1);
}

TEST(DimensionSearch, GoesThroughTheWholeLadderWhereACurveIsWanted) {
  Rising quality{3};
  const DimensionSearch found = search(quality, {1, 20, 1.25, 2, true});
  std::vector<int64_t> dimensions;
  for (const TriedDimension& tried : found.tried) dimensions.push_back(tried.dimension);
  EXPECT_EQ(dimensions, (std::vector<int64_t>{1, 2, 3, 4, 8, 16, 20}));
  EXPECT_EQ(found.smallest, 3);
}

TEST(DimensionSearch, RefusesWhatNeverEnds) {
  Rising quality;
  test::expect_error(ErrorKind::invalid, "no dimension from 5 to 4", "", [&] { search(quality, {5, 4}); });
  test::expect_error(ErrorKind::invalid, "never ends", "", [&] { search(quality, {1, 4, 1.0}); });
  EXPECT_EQ(quality.asked, 0);
}

}  // namespace
}  // namespace lowrank
