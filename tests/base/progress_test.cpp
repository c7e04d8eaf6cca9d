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
