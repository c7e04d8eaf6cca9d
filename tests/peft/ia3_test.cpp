// (IA)^3: rows of W scaled by l, or columns of the MLP's last projection.
#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(Ia3, MergesByItsFormula) {
  const test::MethodFormula ia3("ia3");
  ia3.expect_merged("k_proj", ia3.weight("k_proj") * ia3.parameter("k_proj", "ia3_l"));
  ia3.expect_merged("v_proj", ia3.weight("v_proj") * ia3.parameter("v_proj", "ia3_l"));
  ia3.expect_merged("down_proj", ia3.weight("down_proj") * ia3.parameter("down_proj", "ia3_l"));
  EXPECT_EQ(ia3.parameter("k_proj", "ia3_l").sizes().vec(), (std::vector<int64_t>{16, 1}));
  EXPECT_EQ(ia3.parameter("down_proj", "ia3_l").sizes().vec(), (std::vector<int64_t>{1, 48}));
}

}  // namespace
}  // namespace lowrank
