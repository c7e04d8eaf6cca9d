// Lin's adapters: h' = h + U relu(D LN(h) + b) + c after each layer, LN trained.
#include <ATen/ops/relu.h>

#include "support/bottleneck_formula.h"

namespace lowrank {
namespace {

at::Tensor expected_after(const test::BottleneckFormula& lin, const at::Tensor& h) {
  const at::Tensor centred = h - h.mean(1, true);
  const at::Tensor normed = centred / (centred.pow(2).mean(1, true) + 1e-5).sqrt();
  const at::Tensor x =
      normed * lin.parameter("adapter_norm_before.weight") + lin.parameter("adapter_norm_before.bias");
  return h + lin.up(at::relu(lin.down(x, "output_adapters", "adapter_down.1.")));
}

TEST(LinAdapter, ActsBehindTheLayer) {
  const at::NoGradGuard no_grad;
  const test::BottleneckFormula lin("lin_adapter");
  const HiddenState pre_norm =
      lin.adapter.method->layer_end(test::PlacesIn(lin.batch).layer(1), {lin.in, lin.out, {}});
  lin.expect_equal(pre_norm.sum(), expected_after(lin, lin.in + lin.out));
  const HiddenState post_norm =
      lin.adapter.method->layer_end(test::PlacesIn(lin.batch).layer(1), {lin.in, {}, {}});
  lin.expect_equal(post_norm.sum(), expected_after(lin, lin.in));
  lin.expect_equal(lin.branch_end(), lin.out);
}

TEST(LinAdapter, CountsAndCosts) {
  const test::BottleneckFormula lin("lin_adapter", {{"reduction_factor", 8}});
  constexpr int64_t d = 32, k = 4;
  EXPECT_EQ(lin.adapter.parameters->count(), 2 * (2 * d * k + k + d + 2 * d));
  EXPECT_EQ(lin.adapter.plan.macs_per_token, 2 * 2 * d * k);
}

TEST(LinAdapter, StartsWithANormThatChangesNothing) {
  const test::BottleneckFormula lin("lin_adapter");
  lin.adapter.method->initialise(*lin.checkpoint, 3);
  EXPECT_EQ(lin.parameter("adapter_norm_before.weight").sum().item<float>(), 32);
  EXPECT_EQ(lin.parameter("adapter_norm_before.bias").abs().sum().item<float>(), 0);
}

}  // namespace
}  // namespace lowrank
