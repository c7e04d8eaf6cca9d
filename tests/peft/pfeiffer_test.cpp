// Pfeiffer's adapters: h + y + U relu(D (h + y) + b) + c after the MLP; on post-norm models the input is
// normed.
#include <ATen/ops/relu.h>

#include "support/bottleneck_formula.h"

namespace lowrank {
namespace {

TEST(Pfeiffer, ReadsTheSum) {
  const test::BottleneckFormula pfeiffer("pfeiffer");
  const at::Tensor sum = pfeiffer.in + pfeiffer.out;
  pfeiffer.expect_equal(pfeiffer.branch_end(), pfeiffer.out + pfeiffer.up(at::relu(pfeiffer.down(sum))));
  pfeiffer.expect_equal(pfeiffer.branch_end(Role::attention_out), pfeiffer.out);
}

TEST(Pfeiffer, ReadsTheNormedSumOnPostNormModels) {
  const test::BottleneckFormula pfeiffer("pfeiffer");
  const at::Tensor x = pfeiffer.normed(pfeiffer.in + pfeiffer.out);
  pfeiffer.expect_equal(pfeiffer.branch_end(Role::down, true),
                        pfeiffer.out + pfeiffer.up(at::relu(pfeiffer.down(x))));
}

TEST(Pfeiffer, CountsAndCosts) {
  const test::BottleneckFormula pfeiffer("pfeiffer", {{"reduction_factor", 5}});
  constexpr int64_t d = 32, k = 6;
  EXPECT_EQ(pfeiffer.adapter.parameters->count(), 2 * (2 * d * k + k + d));
  EXPECT_EQ(pfeiffer.adapter.plan.macs_per_token, 2 * 2 * d * k);
}

TEST(Pfeiffer, ScalesByLearnedFactors) {
  for (const auto& [type, count] : {std::pair{"learned", 1}, {"channel", 32}}) {
    const test::BottleneckFormula pfeiffer("pfeiffer", {{"scaling_type", type}});
    EXPECT_EQ(pfeiffer.parameter("scaling").numel(), count);
    const at::Tensor x = at::relu(pfeiffer.down(pfeiffer.in + pfeiffer.out));
    pfeiffer.expect_equal(pfeiffer.branch_end(),
                          pfeiffer.out + pfeiffer.up(x) * pfeiffer.parameter("scaling"));
  }
}

}  // namespace
}  // namespace lowrank
