// Dropout bit for bit against its reference, which draws one value at a time, on every Highway target that
// this machine has.
#include "kernels/operations/dropout.h"

#include <tuple>

#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "kernels/highway_target.h"

namespace lowrank {
namespace {

/// target, type
class Dropouts : public OnTarget<std::tuple<int64_t, at::ScalarType>> {
 protected:
  at::ScalarType type() const { return std::get<1>(GetParam()); }
};

TEST_P(Dropouts, AreTheReferencesBits) {
  for (const int64_t count : {0, 1, 3, 4, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 131, 1000, 100003}) {
    for (const double p : {0.0, 0.1, 0.5, 0.999}) {
      for (const uint64_t seed : {uint64_t{7}, uint64_t{0xFEDCBA9876543210U}}) {
        const at::Tensor x = at::randn({count}).to(type());
        EXPECT_TRUE(at::equal(apply_dropout(x, {p, seed}), apply_dropout_reference(x, {p, seed})))
            << count << " " << p << " " << seed;
      }
    }
  }
}

/// The mask is part of what a seed determines: element i follows draw i mod 4 of Philox's counter i / 4.
TEST_P(Dropouts, FollowPhilox) {
  constexpr uint64_t seed = 0x123456789ABCDEF0U;
  constexpr int64_t count = 5000;
  const at::Tensor dropped = apply_dropout(at::zeros({count}).fill_(1).to(type()), {0.25, seed});
  const at::Tensor values = dropped.to(at::kFloat);
  for (int64_t i = 0; i < count; ++i) {
    const auto draws = philox(seed, {static_cast<uint32_t>(i / 4), 0, 0, 0});
    EXPECT_EQ(values.const_data_ptr<float>()[i] != 0, draws[i % 4] >= 0x40000000U) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(EveryTarget, Dropouts,
                         testing::Combine(testing::ValuesIn(compiled_targets()),
                                          testing::Values(at::kFloat, at::kBFloat16)),
                         [](const auto& test) {
                           return target_name(std::get<0>(test.param)) +
                                  (std::get<1>(test.param) == at::kFloat ? "_f32" : "_bf16");
                         });

TEST(Dropout, KeepsItsShareAndFollowsTheSeed) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const at::Tensor x = at::zeros({1000, 100}).fill_(1).to(type);
    const at::Tensor dropped = apply_dropout(x, {0.25, 3});
    EXPECT_NEAR(dropped.mean().item<double>(), 1, 0.01);
    EXPECT_NEAR((dropped == 0).to(at::kFloat).mean().item<double>(), 0.25, 0.01);
    EXPECT_TRUE(at::equal(dropped, apply_dropout(x, {0.25, 3})));
    EXPECT_FALSE(at::equal(dropped, apply_dropout(x, {0.25, 4})));
  }
}

}  // namespace
}  // namespace lowrank
