// Stacked factors of a training step: one copy for all passes over the same parameters, and nothing that
// belongs to others.
#include "kernels/products/factor_stacks.h"

#include <memory>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randn.h>

#include "kernels/products/low_rank_linear.h"
#include "kernels/tensor_error.h"

namespace lowrank {
namespace {

Patch stacked_patch(const at::Tensor& a, const at::Tensor& b, double scale, int64_t begin) {
  Patch patch;
  patch.A = a;
  patch.B = b;
  patch.scale = scale;
  patch.begin = begin;
  patch.end = begin + b.size(0);
  return patch;
}

TEST(FactorStacks, OneCopyForTheSameParameters) {
  const at::Tensor a = leaf(at::randn({3, 8})), b = leaf(at::randn({5, 3})), c = leaf(at::randn({5, 3}));
  FactorStacks stacks(1000);
  const auto first = stacks.of({stacked_patch(a, b, 2, 0)});
  EXPECT_EQ(first, stacks.of({stacked_patch(a, b, 2, 0)}));
  EXPECT_NE(first, stacks.of({stacked_patch(a, b, 3, 0)})) << "another scale";
  EXPECT_NE(first, stacks.of({stacked_patch(a, c, 2, 0)})) << "another B";
  EXPECT_NE(first, stacks.of({stacked_patch(a, b, 2, 5)})) << "other columns";
  EXPECT_NE(first, stacks.of({stacked_patch(a, b, 2, 0), stacked_patch(a, c, 1, 5)})) << "one more";
  EXPECT_NE(first, FactorStacks(1000).of({stacked_patch(a, b, 2, 0)})) << "another step";
}

TEST(FactorStacks, ComputedFactorsAreNotKept) {
  const at::Tensor a = leaf(at::randn({3, 8})), b = leaf(at::randn({5, 3}));
  FactorStacks stacks(1000);
  const std::vector<Patch> computed{stacked_patch(a * 2, b, 1, 0)};
  EXPECT_NE(stacks.of(computed), stacks.of(computed));
}

/// Two micro-batches of a step, with and without shared stacks: the same results and gradients, bit for bit.
TEST(FactorStacks, AStepIsTheSame) {
  const auto weight = std::make_shared<const PreparedWeight>(
      PreparedWeight::pack(at::randn({40, 16}), at::kFloat, BaseMemory::one, true));
  const at::Tensor factors[] = {at::randn({3, 16}), at::randn({20, 3}), at::randn({2, 16}),
                                at::randn({20, 2})};
  const at::Tensor inputs[] = {at::randn({9, 16}), at::randn({33, 16})};
  const auto step = [&](FactorStacks* stacks) {
    std::vector<at::Tensor> leaves, results;
    for (const at::Tensor& factor : factors) leaves.push_back(leaf(factor));
    for (const at::Tensor& x : inputs) {
      results.push_back(low_rank_linear(
          x, weight, std::nullopt,
          {stacked_patch(leaves[0], leaves[1], 0.5, 0), stacked_patch(leaves[2], leaves[3], 2, 20)}, stacks));
      results.back().backward(at::ones_like(results.back()));
    }
    for (const at::Tensor& of : leaves) results.push_back(of.grad());
    return results;
  };
  const std::vector<at::Tensor> alone = step(nullptr);
  for (const int64_t capacity : {0, 60, 1000}) {  // none, some and all of the stacks in the buffer
    FactorStacks stacks(capacity);
    for (int round = 0; round < 2; ++round) {
      const std::vector<at::Tensor> shared = step(&stacks);
      for (size_t i = 0; i < alone.size(); ++i) EXPECT_TRUE(at::equal(alone[i], shared[i])) << i;
      stacks.clear();
    }
  }
}

}  // namespace
}  // namespace lowrank
