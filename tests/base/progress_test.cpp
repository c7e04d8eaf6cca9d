#include "base/progress.h"

#include <vector>

#include <gtest/gtest.h>

#include "base/log.h"

namespace lowrank {
namespace {

constexpr size_t wide = 200;
const ProgressNumbers everything = {1.2341, 811.7, 1'100'000'000, 150.6};

ProgressOutput into(std::vector<std::string>& lines, bool terminal) {
  return {[&lines](std::string_view text) { lines.emplace_back(text); }, terminal, [] { return size_t{60}; },
          1.0};
}

TEST(Progress, LineShowsAllParts) {
  EXPECT_EQ(progress_line("step", 120, 500, everything, wide),
            "step 120/500  loss 1.234  812 tok/s  1.1 GB  2:31 left");
  EXPECT_EQ(progress_line("row", 7, 0, {}, wide), "row 7");
  EXPECT_EQ(progress_line("step", 1, 2, {{}, {}, 98'000'000, 7384.0}, wide), "step 1/2  98 MB  2:03:04 left");
}

TEST(Progress, LineFitsTheWidth) {
  const std::string full = progress_line("step", 120, 500, everything, wide);
  for (size_t width = 0; width <= full.size(); ++width)
    EXPECT_LE(progress_line("step", 120, 500, everything, width).size(), width);
  EXPECT_EQ(progress_line("step", 120, 500, everything, full.size() - 1),
            "step 120/500  loss 1.234  812 tok/s  2:31 left");
  EXPECT_EQ(progress_line("step", 120, 500, everything, 12), "step 120/500");
}

TEST(Progress, LineShowsLearningRateAndEvaluation) {
  ProgressNumbers numbers = everything;
  numbers.learning_rate = 1.8e-4;
  numbers.evaluation_loss = 1.3014;
  const std::string full = progress_line("step", 120, 500, numbers, wide);
  EXPECT_EQ(full, "step 120/500  loss 1.234  eval 1.301  lr 1.8e-04  812 tok/s  1.1 GB  2:31 left");
  EXPECT_EQ(progress_line("step", 120, 500, numbers, 62),
            "step 120/500  loss 1.234  eval 1.301  812 tok/s  2:31 left");
}

TEST(Progress, PlainLinesComeAfterSoManyRounds) {
  std::vector<std::string> lines;
  {
    ProgressOutput output = into(lines, false);
    output.rounds_between = 2;
    const double start = monotonic_seconds();
    Progress progress("step", 5, 0, output);
    for (int step = 1; step <= 5; ++step) progress.update(step, {{}, {}, {}, 0.0}, start + 100 * step);
  }
  EXPECT_EQ(lines, (std::vector<std::string>{"step 2/5  0:00 left\n", "step 4/5  0:00 left\n",
                                             "step 5/5  0:00 left\n"}));
}

TEST(Progress, AClearedLineIsNotEnded) {
  std::vector<std::string> lines;
  {
    Progress progress("step", 3, 0, into(lines, true));
    progress.update(1, {{}, {}, {}, 1.0});
    progress.clear();
    progress.clear();
  }
  EXPECT_EQ(lines, (std::vector<std::string>{"\r\033[Kstep 1/3  0:01 left", "\r\033[K"}));
}

TEST(Progress, PlainLinesComeSeldomAndAtTheEnd) {
  std::vector<std::string> lines;
  {
    const double start = monotonic_seconds();
    Progress progress("step", 4, 0, into(lines, false));
    progress.update(1, {}, start + 10);
    progress.update(2, {}, start + 10.5);
    progress.update(3, {}, start + 12);
    progress.update(4, {}, start + 12.1);
  }
  EXPECT_EQ(lines, (std::vector<std::string>{"step 1/4  0:30 left\n", "step 3/4  0:04 left\n",
                                             "step 4/4  0:00 left\n"}));
}

TEST(Progress, TerminalLineIsRewritten) {
  std::vector<std::string> lines;
  {
    const double start = monotonic_seconds();
    Progress progress("step", 12, 10, into(lines, true));
    progress.update(11, {}, start + 8);
    progress.update(12, {}, start + 8.2);
  }
  EXPECT_EQ(lines, (std::vector<std::string>{"\r\033[Kstep 11/12  0:08 left", "\r\033[Kstep 12/12  0:00 left",
                                             "\n"}));
}

}  // namespace
}  // namespace lowrank
