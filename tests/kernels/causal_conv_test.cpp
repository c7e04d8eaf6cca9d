// The causal convolution: by its formula, against its reference on every Highway target, over packed
// sequences, forks and rows carried over.
#include "kernels/operations/causal_conv.h"

#include <tuple>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "kernels/highway_target.h"
#include "kernels/tensor_error.h"

namespace lowrank {
namespace {

/// One row, none, fewer than taps, and forks: 3 continues 0, 4 (of one row) continues 3, 5 continues 4.
const RowSequences forked{{0, 4, 5, 5, 7, 8, 19}, {-1, -1, -1, 0, 3, 4}};

TEST(CausalConv, IsTheSumOverThePrecedingRows) {
  const at::Tensor x = at::randn({6, 2}, at::kDouble), weight = at::randn({2, 3}, at::kDouble);
  const RowSequences two{{0, 2, 6}, {}};
  const at::Tensor before = at::randn({2, 2, 2}, at::kDouble);
  const at::Tensor y = causal_conv(x, weight, two, before, false);
  for (int64_t row = 0; row < 6; ++row) {
    const int64_t s = row < 2 ? 0 : 1;
    for (int64_t c = 0; c < 2; ++c) {
      double sum = 0;
      for (int64_t j = 0; j < 3; ++j) {
        const int64_t own = row - two.offsets[s] - j;
        const at::Tensor value = own >= 0 ? x[row - j][c] : before[s][2 + own][c];
        sum += weight[c][2 - j].item<double>() * value.item<double>();
      }
      EXPECT_NEAR(y[row][c].item<double>(), sum, 1e-12) << row;
    }
  }
}

TEST(CausalConv, ForksEqualTheWholeSequence) {
  const at::Tensor x = at::randn({19, 3}, at::kDouble), weight = at::randn({3, 4}, at::kDouble);
  const at::Tensor y = causal_conv(x, weight, forked, {}, true);
  const at::Tensor whole = at::cat({x.narrow(0, 0, 4), x.narrow(0, 5, 2), x.narrow(0, 7, 12)});
  const at::Tensor alone = causal_conv(whole, weight, {{0, 18}, {}}, {}, true);
  EXPECT_LT(relative(y.narrow(0, 5, 14), alone.narrow(0, 4, 14)), 1e-12);
  EXPECT_LT(relative(y.narrow(0, 4, 1), causal_conv(x.narrow(0, 4, 1), weight, {{0, 1}, {}}, {}, true)),
            1e-12);
}

/// target, type
class FusedConv : public OnTarget<std::tuple<int64_t, at::ScalarType>> {};

TEST_P(FusedConv, EqualsTheReference) {
  const at::ScalarType type = std::get<1>(GetParam());
  const double tolerance = type == at::kFloat ? 5e-6 : 1.0 / 256 + 1e-4;
  for (const int64_t channels : {1, 7, 64, 65, 600}) {
    for (const int64_t taps : {1, 3, 4}) {
      for (const bool silu : {false, true}) {
        for (const bool continued : {false, true}) {
          const at::Tensor values = at::randn({19, channels}).to(type);
          const at::Tensor kernel = at::randn({channels, taps});
          const RowSequences sequences = continued ? RowSequences{forked.offsets, {}} : forked;
          const at::Tensor before = continued ? at::randn({6, taps - 1, channels}).to(type) : at::Tensor();
          const at::Tensor x = leaf(values), weight = leaf(kernel);
          const at::Tensor exact = leaf(values.to(at::kDouble)), exact_weight = leaf(kernel.to(at::kDouble));
          const at::Tensor y = causal_conv(x, weight, sequences, before, silu);
          const at::Tensor expected = causal_conv_reference(exact, exact_weight, sequences, before, silu);
          EXPECT_EQ(y.scalar_type(), type);
          EXPECT_LT(relative(y, expected), tolerance) << channels << " " << taps;
          const at::Tensor seed = at::randn(y.sizes()).to(type);
          y.backward(seed);
          expected.backward(seed.to(at::kDouble));
          EXPECT_LT(relative(x.grad(), exact.grad()), tolerance) << channels << " " << taps;
          EXPECT_LT(relative(weight.grad(), exact_weight.grad()), 1e-5) << channels << " " << taps;
        }
      }
    }
  }
}

TEST_P(FusedConv, WithGatesEqualsTheReference) {
  const at::ScalarType type = std::get<1>(GetParam());
  const double tolerance = type == at::kFloat ? 5e-6 : 1.0 / 256 + 1e-4;
  for (const int64_t channels : {1, 7, 65, 600}) {
    for (const bool continued : {false, true}) {
      const at::Tensor values = at::randn({19, 3 * channels}).to(type), kernel = at::randn({channels, 3});
      const RowSequences sequences = continued ? RowSequences{forked.offsets, {}} : forked;
      const at::Tensor before = continued ? at::randn({6, 2, channels}).to(type) : at::Tensor();
      const at::Tensor parts = leaf(values), weight = leaf(kernel);
      const at::Tensor exact = leaf(values.to(at::kDouble)), exact_weight = leaf(kernel.to(at::kDouble));
      const at::Tensor y = gated_causal_conv(parts, weight, sequences, before);
      const at::Tensor expected = gated_causal_conv(exact, exact_weight, sequences, before);
      EXPECT_EQ(y.scalar_type(), type);
      EXPECT_LT(relative(y, expected), tolerance) << channels;
      const at::Tensor seed = at::randn(y.sizes()).to(type);
      y.backward(seed);
      expected.backward(seed.to(at::kDouble));
      EXPECT_LT(relative(parts.grad(), exact.grad()), tolerance) << channels;
      EXPECT_LT(relative(weight.grad(), exact_weight.grad()), 1e-5) << channels;
    }
  }
}

TEST_P(FusedConv, ReadsRowsThatLieApart) {
  const at::ScalarType type = std::get<1>(GetParam());
  const at::Tensor wide = at::randn({19, 100}).to(type), weight = at::randn({33, 4});
  const at::Tensor apart = leaf(wide), adjacent = leaf(wide.narrow(1, 5, 33).contiguous());
  const at::Tensor y = causal_conv(apart.narrow(1, 5, 33), weight, forked, {}, true);
  const at::Tensor expected = causal_conv(adjacent, weight, forked, {}, true);
  EXPECT_TRUE(y.equal(expected));
  const at::Tensor seed = at::randn(y.sizes()).to(type);
  y.backward(seed);
  expected.backward(seed);
  EXPECT_TRUE(apart.grad().narrow(1, 5, 33).equal(adjacent.grad()));
}

TEST(CausalConv, WithGatesIsTheirProduct) {
  const at::Tensor b = at::randn({7, 2}, at::kDouble), c = at::randn({7, 2}, at::kDouble);
  const at::Tensor u = at::randn({7, 2}, at::kDouble), weight = at::randn({2, 3}, at::kDouble);
  const RowSequences two{{0, 2, 7}, {}};
  const at::Tensor y = gated_causal_conv(at::cat({b, c, u}, 1), weight, two, {});
  EXPECT_LT(relative(y, c * causal_conv(b * u, weight, two, {}, false)), 1e-12);
}

TEST(CausalConv, GradientsMatchFiniteDifferences) {
  const at::Tensor x = leaf(at::randn({19, 2}, at::kDouble)), weight = leaf(at::randn({2, 3}, at::kDouble));
  const at::Tensor seed = at::randn({19, 2}, at::kDouble);
  const auto loss = [&] { return (causal_conv(x, weight, forked, {}, true) * seed).sum(); };
  loss().backward();
  const at::NoGradGuard no_grad;
  constexpr double step = 1e-5;
  for (const at::Tensor& of : {x, weight}) {
    at::Tensor values = of.view({-1});
    for (int64_t i = 0; i < values.numel(); ++i) {
      const double value = values[i].item<double>();
      values[i] = value + step;
      const double above = loss().item<double>();
      values[i] = value - step;
      const double below = loss().item<double>();
      values[i] = value;
      EXPECT_NEAR(of.grad().view({-1})[i].item<double>(), (above - below) / (2 * step), 1e-8) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, FusedConv,
                         testing::Combine(testing::ValuesIn(compiled_targets()),
                                          testing::Values(at::kFloat, at::kBFloat16)),
                         [](const auto& info) {
                           return target_name(std::get<0>(info.param)) +
                                  (std::get<1>(info.param) == at::kFloat ? "_f32" : "_bf16");
                         });

}  // namespace
}  // namespace lowrank
