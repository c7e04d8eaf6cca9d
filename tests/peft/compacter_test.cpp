// Compacter: Houlsby's places, with matrices that are sums of Kronecker products.
#include <ATen/ops/gelu.h>

#include "base/error.h"
#include "support/compacter_formula.h"

namespace lowrank {
namespace {

TEST(Compacter, AddsItsFormulaAfterBothBranches) {
  for (const int64_t rank : {1, 2}) {
    const test::BottleneckFormula compacter("compacter", {{"bottleneck_size", 8}, {"phm_rank", rank}});
    for (const auto& [branch, place] :
         {std::pair{Role::attention_out, "attention_adapters"}, {Role::down, "output_adapters"}}) {
      const at::Tensor down = phm_projection(compacter, compacter.out, "adapter_down.0.", place);
      compacter.expect_equal(compacter.branch_end(branch),
                             compacter.out + phm_projection(compacter, at::gelu(down), "adapter_up.", place));
    }
  }
}

TEST(Compacter, CountsAndCosts) {
  const test::BottleneckFormula compacter("compacter", {{"bottleneck_size", 8}, {"phm_rank", 2}});
  constexpr int64_t d = 32, k = 8, r = 2, n = 4;
  EXPECT_EQ(compacter.adapter.parameters->count(), 4 * (2 * r * (d + k) + k + d) + n * n * n);
  EXPECT_EQ(compacter.adapter.plan.macs_per_token, 4 * 2 * (n * r * (d + k) + n * n * n * r));
}

TEST(Compacter, RoundsItsSizeUpAndRefusesOneThatDoesNotFit) {
  // 32 / 5 = 6, which 4 does not divide.
  const test::BottleneckFormula compacter("compacter", {{"reduction_factor", 5}});
  EXPECT_EQ(compacter.parameter("adapter_down.0.b").numel(), 8);
  EXPECT_EQ(compacter.adapter.method->form().config()["config"]["reduction_factor"], 4);
  EXPECT_THROW(test::BottleneckFormula("compacter", {{"bottleneck_size", 6}}), Error);
  EXPECT_THROW(test::BottleneckFormula("compacter", {{"phm_dim", 5}}), Error);
}

TEST(Compacter, MayHaveRulesOfItsOwnAtEachPlace) {
  const test::BottleneckFormula compacter("compacter", {{"shared_phm_rule", false}});
  EXPECT_FALSE(compacter.has("model.shared_parameters.adapter.phm_rule"));
  EXPECT_EQ(compacter.parameter("adapter_up.phm_rule").numel(), 64);
  compacter.adapter.method->initialise(*compacter.checkpoint, 3);
  EXPECT_NEAR(compacter.parameter("adapter_up.phm_rule").std().item<double>(), 0.01, 4e-3);
}

}  // namespace
}  // namespace lowrank
