// Plain adapters: ReLU(x W_down) W_up + x with weights N(0, 0.01), or cut at two deviations.
#include <ATen/ops/relu.h>

#include "support/bottleneck_formula.h"

namespace lowrank {
namespace {

TEST(PlainAdapter, AddsItsFormulaAfterBothBranches) {
  const test::BottleneckFormula plain("plain_adapter");
  for (const auto& [branch, place] :
       {std::pair{Role::attention_out, "attention_adapters"}, {Role::down, "output_adapters"}}) {
    plain.expect_equal(plain.branch_end(branch),
                       plain.out + plain.up(at::relu(plain.down(plain.out, place)), place));
  }
}

TEST(PlainAdapter, DrawsItsStart) {
  for (const auto& [start, cut] : {std::pair{"normal", false}, {"houlsby", true}}) {
    const test::BottleneckFormula plain("plain_adapter", {{"init_weights", start}, {"bottleneck_size", 512}});
    plain.adapter.method->initialise(*plain.checkpoint, 3);
    const at::Tensor down = plain.parameter("adapter_down.0.weight");
    EXPECT_EQ(down.abs().max().item<double>() <= 0.02, cut) << start;
    // The deviation of a normal distribution cut at two of its own is 0.8796 of it.
    EXPECT_NEAR(down.std().item<double>(), cut ? 0.008796 : 0.01, 2e-4) << start;
    EXPECT_NEAR(down.mean().item<double>(), 0, 3e-4) << start;
    EXPECT_EQ(plain.parameter("adapter_up.bias").abs().sum().item<float>(), 0);
  }
}

TEST(PlainAdapter, CountsItsParameters) {
  const test::BottleneckFormula plain("plain_adapter");
  constexpr int64_t d = 32, k = 2;
  EXPECT_EQ(plain.adapter.parameters->count(), 4 * (2 * d * k + k + d));
}

}  // namespace
}  // namespace lowrank
