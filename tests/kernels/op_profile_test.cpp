#include "kernels/core/op_profile.h"

#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "kernels/products/low_rank_linear.h"
#include "kernels/products/products.h"
#include "kernels/products/replay.h"

namespace lowrank {
namespace {

double flops_in(const OpProfile& profile) {
  double flops = 0;
  for (const auto& [name, time] : profile.times()) flops += time.flops;
  return flops;
}

TEST(OpProfile, CountsProductsForwardAndBackward) {
  const at::Tensor w = at::randn({32, 16});
  const auto weight =
      std::make_shared<const PreparedWeight>(PreparedWeight::pack(w, at::kFloat, BaseMemory::one, true));
  at::Tensor x = at::randn({5, 16});
  x.set_requires_grad(true);
  at::Tensor a = at::randn({4, 16}), b = at::randn({32, 4});
  a.set_requires_grad(true);
  b.set_requires_grad(true);
  OpProfile profile(true);
  {
    const ProfileScope scope(profile);
    const Patch patch{{}, a, b, {}, {}, 2, 0, 32, {}};
    low_rank_linear(x, weight, std::nullopt, {patch}).sum().backward();
  }
  // The frozen product and its input gradient, and one pass forward and one backward for all products of A
  // and B: two forward, and two each for gradients.
  const double frozen = 2.0 * 5 * 16 * 32, inner = 2.0 * 5 * 16 * 4, outer = 2.0 * 5 * 4 * 32;
  EXPECT_EQ(flops_in(profile), 2 * frozen + 3 * inner + 3 * outer);
  EXPECT_EQ(profile.products().size(), 4);
  EXPECT_GT(replay(profile.products()), 0);
  EXPECT_TRUE(profile.times().contains("low_rank_linear"));
}

TEST(OpProfile, SeesNothingOutsideItsScope) {
  OpProfile profile;
  { const ProfileScope scope(profile); }
  at::mm(at::randn({3, 4}), at::randn({4, 5}));
  EXPECT_EQ(flops_in(profile), 0);
  profile.clear();
  EXPECT_TRUE(profile.times().empty());
}

}  // namespace
}  // namespace lowrank
