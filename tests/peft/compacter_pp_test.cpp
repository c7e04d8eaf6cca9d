// Compacter++: Pfeiffer's place, with matrices that are sums of Kronecker products.
#include <ATen/ops/gelu.h>

#include "support/compacter_formula.h"

namespace lowrank {
namespace {

TEST(CompacterPp, ReadsTheSumAfterTheMlp) {
  const test::BottleneckFormula compacter("compacter_pp");
  const auto expected = [&](const at::Tensor& x) {
    const at::Tensor down = phm_projection(compacter, x, "adapter_down.0.", "output_adapters");
    return compacter.out + phm_projection(compacter, at::gelu(down), "adapter_up.", "output_adapters");
  };
  const at::Tensor sum = compacter.in + compacter.out;
  compacter.expect_equal(compacter.branch_end(), expected(sum));
  compacter.expect_equal(compacter.branch_end(Role::down, true), expected(compacter.normed(sum)));
  compacter.expect_equal(compacter.branch_end(Role::attention_out), compacter.out);
}

TEST(CompacterPp, CountsItsParameters) {
  const test::BottleneckFormula compacter("compacter_pp", {{"reduction_factor", 4}});
  constexpr int64_t d = 32, k = 8, n = 4;
  EXPECT_EQ(compacter.adapter.parameters->count(), 2 * (2 * (d + k) + k + d) + n * n * n);
}

}  // namespace
}  // namespace lowrank
