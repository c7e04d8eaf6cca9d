// What a search leaves behind.
#include "study/dimension_report.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

DimensionReport example_report() {
  DimensionReport report;
  report.title = "Dimensions";
  report.dimension_name = "d";
  report.quality_name = "accuracy";
  report.reference_name = "full";
  report.base = {0, 0, 0.5, 0.7, 0};
  report.reference = {0, 1000, 0.8, 0.4, 2};
  report.share = 0.75;  // goal 0.6
  return report;
}

TEST(DimensionReport, KeepsPointsSortedAndKnowsTheSmallestThatReachesTheGoal) {
  DimensionReport report = example_report();
  EXPECT_FALSE(report.smallest());
  EXPECT_EQ(conclusion_of(report),
            "no d tried reaches 0.75 of the accuracy of full, 0.6000 (the search is not finished)");
  report.add({400, 402, 0.7, 0.5, 1});
  report.add({100, 102, 0.55, 0.6, 1});
  report.add({200, 202, 0.65, 0.6, 1});
  report.finished = true;
  ASSERT_EQ(report.points.front().dimension, 100);
  EXPECT_EQ(report.smallest(), 200);
  EXPECT_EQ(conclusion_of(report), "smallest d tried that reaches 0.75 of the accuracy of full, 0.6000: 200");
}

TEST(DimensionReport, TakesAnExactShareForReached) {
  DimensionReport report = example_report();
  report.share = 0.9;
  for (int64_t rows = 10; rows <= 1000; rows += 10) {
    report.reference.quality = static_cast<double>(rows) / 1009;
    EXPECT_TRUE(report.reaches({1, 1, static_cast<double>(rows / 10 * 9) / 1009, 0, 0})) << rows;
    EXPECT_FALSE(report.reaches({1, 1, static_cast<double>(rows / 10 * 9 - 1) / 1009, 0, 0})) << rows;
  }
}

TEST(DimensionReport, WritesThreeFilesAndNoChartWithoutAPoint) {
  const test::TemporaryFolder folder;
  const std::filesystem::path out = folder.path() / "a" / "b";
  DimensionReport report = example_report();
  write_report(report, out);
  EXPECT_FALSE(std::filesystem::exists(out / "intrinsic.svg"));
  EXPECT_TRUE(read_json_file(out / "intrinsic.json", 1 << 20)["smallest"].is_null());
  report.add({100, 102, 0.65, 0.6, 1.5});
  write_report(report, out);
  const nlohmann::json json = read_json_file(out / "intrinsic.json", 1 << 20);
  EXPECT_EQ(json["smallest"], 100);
  EXPECT_EQ(json["finished"], false);
  EXPECT_NEAR(json["goal"].get<double>(), 0.6, 1e-9);
  EXPECT_EQ(json["reference"]["name"], "full");
  EXPECT_EQ(json["points"][0], nlohmann::json({{"dimension", 100},
                                               {"trained_parameters", 102},
                                               {"quality", 0.65},
                                               {"loss", 0.6},
                                               {"seconds", 1.5},
                                               {"reaches_goal", true}}));
  const std::string markdown = test::content_of(out / "intrinsic.md");
  EXPECT_NE(markdown.find("| 100  |             102 |   0.6500 |   0.812 | 0.6000 |     1.5 |"),
            std::string::npos)
      << markdown;
  const std::string svg = test::content_of(out / "intrinsic.svg");
  for (const char* label : {">full 0.800<", ">goal 0.600<", ">base 0.500<"})
    EXPECT_NE(svg.find(label), std::string::npos) << label;
}

}  // namespace
}  // namespace lowrank
