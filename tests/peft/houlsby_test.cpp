// Houlsby's adapters: h + y + U silu(D y + b) + c after both branches.
#include <ATen/ops/silu.h>

#include "support/bottleneck_formula.h"

namespace lowrank {
namespace {

TEST(Houlsby, AddsItsFormulaAfterBothBranches) {
  const test::BottleneckFormula houlsby("houlsby");
  for (const auto& [branch, place] :
       {std::pair{Role::attention_out, "attention_adapters"}, {Role::down, "output_adapters"}}) {
    const at::Tensor expected = houlsby.out + houlsby.up(at::silu(houlsby.down(houlsby.out, place)), place);
    houlsby.expect_equal(houlsby.branch_end(branch), expected);
    // The frozen norm of a post-norm model comes after the sum, so the branch's end is the same.
    houlsby.expect_equal(houlsby.branch_end(branch, true), expected);
  }
}

TEST(Houlsby, CountsAndCosts) {
  const test::BottleneckFormula houlsby("houlsby", {{"bottleneck_size", 6}});
  constexpr int64_t d = 32, k = 6;
  EXPECT_EQ(houlsby.adapter.parameters->count(), 4 * (2 * d * k + k + d));
  EXPECT_EQ(houlsby.adapter.plan.macs_per_token, 4 * 2 * d * k);
  EXPECT_EQ(houlsby.adapter.plan.targets.size(), 4);
}

TEST(Houlsby, LeavesLayersOut) {
  const test::BottleneckFormula houlsby("houlsby", {{"leave_out", {0}}});
  EXPECT_EQ(houlsby.adapter.plan.targets.size(), 2);
  EXPECT_FALSE(houlsby.has("model.layers.0.output_adapters.adapters.adapter.adapter_up.weight"));
}

/// AdapterDrop in training: about half of the steps skip layer 0 of two, the same ones for the same seed, and
/// no other pass does.
TEST(Houlsby, DropsTheLowestLayersByStepAndSeed) {
  const test::BottleneckFormula houlsby("houlsby", {{"adapter_drop", 1}});
  const auto skips = [&](uint64_t seed, int64_t step, bool training) {
    const at::NoGradGuard no_grad;
    houlsby.adapter.method->begin_step({step, 100, 1, seed});
    const test::PlacesIn places(houlsby.batch, training);
    const auto end = [&](int layer) {
      return houlsby.adapter.method->branch_end(places.layer(layer), {Role::down}, houlsby.in, houlsby.out);
    };
    EXPECT_GT(test::largest_difference(end(1), houlsby.out), 1e-3);
    return test::largest_difference(end(0), houlsby.out) == 0;
  };
  int skipped = 0, differ = 0;
  for (int64_t step = 1; step <= 100; ++step) {
    skipped += skips(3, step, true);
    EXPECT_EQ(skips(3, step, true), skips(3, step, true));
    differ += skips(3, step, true) != skips(4, step, true);
    EXPECT_FALSE(skips(3, step, false));
  }
  EXPECT_GT(skipped, 30);
  EXPECT_LT(skipped, 70);
  EXPECT_GT(differ, 20);
  EXPECT_FALSE(skips(3, 0, true));
}

}  // namespace
}  // namespace lowrank
