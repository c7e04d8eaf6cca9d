#include "infer/logit_adjustments.h"

#include <array>
#include <vector>

#include <gtest/gtest.h>

namespace lowrank {
namespace {

TEST(LogitAdjustments, CountWhatWasGenerated) {
  std::array<float, 5> logits{1, 2, 3, 4, 5};
  const std::vector<int64_t> generated{1, 3, 3, 3};
  adjust(logits, generated, {0.5, 0.25, {}});
  EXPECT_EQ(logits, (std::array<float, 5>{1, 2 - 0.75F, 3, 4 - 1.25F, 5}));
}

TEST(LogitAdjustments, BiasesAreAdded) {
  std::array<float, 3> logits{1, 2, 3};
  const std::vector<int64_t> none;
  adjust(logits, none, {0, 0, {{0, 100}, {2, -1.5}, {3, 1}, {-1, 1}}});
  EXPECT_EQ(logits, (std::array<float, 3>{101, 2, 1.5F}));
  EXPECT_FALSE(LogitAdjustments{}.any());
}

}  // namespace
}  // namespace lowrank
