// A search stopped by a signal keeps what it found.
#include "study/dimension_question.h"

#include <csignal>

#include <gtest/gtest.h>

#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

DimensionReport report_before_the_search() {
  DimensionReport report;
  report.dimension_name = "d";
  report.quality_name = "accuracy";
  report.reference_name = "full";
  report.base.quality = 0.5;
  report.reference.quality = 0.8;
  return report;
}

TEST(DimensionQuestion, AnInterruptedSearchKeepsItsPoints) {
  const test::TemporaryFolder folder;
  DimensionReport report = report_before_the_search();
  const InterruptGuard guard;
  const auto run = [](int64_t dimension) {
    if (dimension == 40) std::raise(SIGINT);
    throw_if_interrupted();
    return DimensionPoint{dimension, dimension, 0.6, 0.5, 1};
  };
  test::expect_error(ErrorKind::interrupted, "interrupted after 1 runs", folder.path().string(), [&] {
    search_dimensions(report, {10, 1000}, run, folder.path().string());
  });
  const nlohmann::json json = read_json_file(folder.path() / "intrinsic.json", 1 << 20);
  ASSERT_EQ(json["points"].size(), 1);
  EXPECT_EQ(json["points"][0]["dimension"], 10);
  EXPECT_EQ(json["finished"], false);
}

TEST(DimensionQuestion, AReferenceThatIsNoBetterThanTheBaseIsRefused) {
  DimensionReport report = report_before_the_search();
  check_reference(report, "more steps may");
  report.reference.quality = report.base.quality;
  test::expect_error(ErrorKind::invalid, "full does not improve on the base (accuracy 0.5000 against 0.5000)",
                     "more steps may", [&] { check_reference(report, "more steps may"); });
}

}  // namespace
}  // namespace lowrank
