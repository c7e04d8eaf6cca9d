// Parallel adapters: h + y + s (U relu(D h + b) + c), with h the stream at the start of the branch.
#include <ATen/ops/relu.h>

#include "support/bottleneck_formula.h"

namespace lowrank {
namespace {

TEST(ParallelAdapter, ReadsTheStreamThatTheBranchRead) {
  const test::BottleneckFormula parallel("parallel_adapter");
  const at::Tensor u = parallel.up(at::relu(parallel.down(parallel.in)));
  for (const bool post_norm : {false, true})
    parallel.expect_equal(parallel.branch_end(Role::down, post_norm), parallel.out + 4 * u);
}

TEST(ParallelAdapter, LearnsItsScale) {
  const test::BottleneckFormula scaled("parallel_adapter", {{"scaling_type", "learned"}});
  const at::Tensor u = scaled.up(at::relu(scaled.down(scaled.in)));
  scaled.expect_equal(scaled.branch_end(), scaled.out + u * scaled.parameter("scaling"));
  scaled.adapter.method->initialise(*scaled.checkpoint, 3);
  EXPECT_EQ(scaled.parameter("scaling").item<float>(), 1);
}

TEST(ParallelAdapter, CountsAndCosts) {
  const test::BottleneckFormula parallel("parallel_adapter");
  constexpr int64_t d = 32, k = 16;
  EXPECT_EQ(parallel.adapter.parameters->count(), 2 * (2 * d * k + k + d));
  EXPECT_EQ(parallel.adapter.plan.macs_per_token, 2 * 2 * d * k);
}

TEST(ParallelAdapter, StartsAtTheBase) {
  const test::BottleneckFormula parallel("parallel_adapter");
  parallel.adapter.method->initialise(*parallel.checkpoint, 3);
  parallel.expect_equal(parallel.branch_end(), parallel.out);
  EXPECT_GT(parallel.parameter("adapter_down.0.weight").abs().max().item<double>(), 0.1);
}

}  // namespace
}  // namespace lowrank
