// Each fused kernel against its plain reference on every Highway target that this machine has: result and
// gradient, f32 and bf16, sizes below, at and just off whole vectors, one row and no rows at all. The
// reference is computed in f64 from the same, rounded, operands.
#include <cmath>
#include <limits>
#include <string>
#include <tuple>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/full.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sin.h>
#include <gtest/gtest.h>

#include "kernels/highway_target.h"
#include "kernels/losses/target_loss.h"
#include "kernels/operations/gated_norm.h"
#include "kernels/operations/glu.h"
#include "kernels/operations/head_norm.h"
#include "kernels/operations/rms_norm.h"
#include "kernels/operations/rope.h"
#include "kernels/tensor_error.h"

namespace lowrank {
namespace {

constexpr int64_t odd_columns[] = {1, 3, 7, 16, 17, 33, 65, 576};
constexpr int64_t few_rows[] = {0, 1, 5, 50};
/// A single value is its own norm: only epsilon leaves a gradient.
constexpr double one_value_epsilon = 1;

/// target, type
class Fused : public OnTarget<std::tuple<int64_t, at::ScalarType>> {
 protected:
  at::ScalarType type() const { return std::get<1>(GetParam()); }

  /// One rounding to the type, and what f32 sums lose.
  double tolerance() const { return type() == at::kFloat ? 5e-6 : 1.0 / 256 + 1e-4; }

  at::Tensor random(int64_t rows, int64_t columns) const { return at::randn({rows, columns}).to(type()); }

  /// Calls check(rows, columns) on all sizes.
  template <class Check>
  void for_all_sizes(Check check) const {
    for (const int64_t rows : few_rows) {
      for (const int64_t columns : odd_columns) {
        SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(columns));
        check(rows, columns);
      }
    }
  }

  /// Result and gradient of op(x) against reference(x in f64). Norms take away nearly all of a short row's
  /// gradient: errors of less than half are those of its terms, which are about 1. `roundings`: how often the
  /// operation rounds a value to its type.
  template <class Op, class Reference>
  void compare(const at::Tensor& x, Op op, Reference reference, int roundings = 1) const {
    const double close = roundings * tolerance();
    const at::Tensor a = leaf(x), b = leaf(x.to(at::kDouble));
    const at::Tensor ours = op(a), expected = reference(b);
    EXPECT_EQ(ours.scalar_type(), x.scalar_type());
    EXPECT_LT(relative(ours, expected), close);
    const at::Tensor seed = at::randn(ours.sizes()).to(x.scalar_type());
    ours.backward(seed);
    expected.backward(seed.to(at::kDouble));
    EXPECT_LT(relative(a.grad(), b.grad(), 0.5), close);
  }
};

TEST_P(Fused, Glu) {
  for_all_sizes([&](int64_t rows, int64_t columns) {
    for (const Gate gate : {Gate::silu, Gate::gelu, Gate::gelu_tanh}) {
      at::Tensor values = at::randn({rows, 2 * columns}) * 2;
      compare(
          values.to(type()), [&](const at::Tensor& x) { return glu(x, gate); },
          [&](const at::Tensor& x) { return glu_reference(x, gate); });
      // Real models have gates of some hundreds.
      compare((values * 200).to(type()), [&](const at::Tensor& x) { return glu(x, gate); },
              [&](const at::Tensor& x) { return glu_reference(x, gate); });
    }
  });
}

/// Rows of the gate may lie apart, and each operand has a gradient.
TEST_P(Fused, GatedNorm) {
  for_all_sizes([&](int64_t rows, int64_t columns) {
    const double epsilon = columns == 1 ? one_value_epsilon : 1e-5;
    const at::Tensor weight = at::rand({columns}) + 0.5;
    for (const int64_t heads : {1, 3}) {
      const int64_t width = heads * columns;
      // The gate is the middle of wider rows.
      compare(
          random(rows, 2 * width + 5) * 2,
          [&](const at::Tensor& x) {
            return gated_norm(x.narrow(1, 0, width), x.narrow(1, width + 3, width), weight, epsilon);
          },
          [&](const at::Tensor& x) {
            return gated_norm_reference(x.narrow(1, 0, width), x.narrow(1, width + 3, width),
                                        weight.to(at::kDouble), epsilon);
          });
    }
  });
}

TEST(GatedNorm, IsTheNormTimesTheGate) {
  const at::Tensor x = at::randn({3, 4}, at::kDouble), gate = at::randn({3, 4}, at::kDouble);
  const at::Tensor weight = at::randn({2}, at::kDouble);
  const at::Tensor y = gated_norm(x, gate, weight, 1e-3);
  for (int64_t row = 0; row < 3; ++row) {
    for (int64_t column = 0; column < 4; ++column) {
      const auto at = [&](const at::Tensor& of, int64_t j) { return of[row][j].item<double>(); };
      const int64_t head = column / 2 * 2;
      const double mean = (at(x, head) * at(x, head) + at(x, head + 1) * at(x, head + 1)) / 2;
      const double g = at(gate, column);
      EXPECT_NEAR(
          at(y, column),
          at(x, column) / std::sqrt(mean + 1e-3) * weight[column % 2].item<double>() * g / (1 + std::exp(-g)),
          1e-12);
    }
  }
}

TEST_P(Fused, HeadNorm) {
  for_all_sizes([&](int64_t rows, int64_t columns) {
    const double epsilon = columns == 1 ? one_value_epsilon : 1e-5;
    const at::Tensor query = at::rand({columns}) + 0.5, key = at::rand({columns}) + 0.5;
    compare(
        random(rows, 7 * columns) * 2,
        [&](const at::Tensor& x) { return head_norm(x, query, key, 3, 2, epsilon); },
        [&](const at::Tensor& x) {
          return head_norm_reference(x, query.to(at::kDouble), key.to(at::kDouble), 3, 2, epsilon);
        });
  });
}

/// All combinations of the branch's and the result's type; the stream is f32 always.
TEST_P(Fused, AddRmsNorm) {
  for_all_sizes([&](int64_t rows, int64_t columns) {
    const double epsilon = columns == 1 ? one_value_epsilon : 1e-5;
    const at::Tensor weight = at::rand({columns}) + 0.5;
    for (const auto branch_type : {at::kFloat, at::kBFloat16, at::ScalarType::Undefined}) {
      const bool with_branch = branch_type != at::ScalarType::Undefined;
      const at::Tensor stream = at::randn({rows, columns});
      const at::Tensor branch = with_branch ? at::randn({rows, columns}).to(branch_type) : at::Tensor();
      const at::Tensor a = leaf(stream), b = leaf(stream.to(at::kDouble));
      const at::Tensor branch_a = with_branch ? leaf(branch) : branch;
      const at::Tensor branch_b = with_branch ? leaf(branch.to(at::kDouble)) : branch;
      const AddNorm ours = add_rms_norm(a, branch_a, weight, epsilon, type());
      const AddNorm expected =
          add_rms_norm_reference(b, branch_b, weight.to(at::kDouble), epsilon, at::kDouble);
      EXPECT_LT(relative(ours.stream, expected.stream), 1e-6);
      EXPECT_LT(relative(ours.normed, expected.normed), tolerance());
      const at::Tensor seed = random(rows, columns), sum_seed = at::randn({rows, columns});
      ((ours.stream * sum_seed).sum() + (ours.normed * seed).to(at::kFloat).sum()).backward();
      ((expected.stream * sum_seed).sum() + (expected.normed * seed).sum()).backward();
      // The backward pass uses the rounded norm twice; in short rows what it subtracts is large.
      const double close = type() == at::kFloat ? 5e-6 : (columns < 64 ? 10 : 2) * tolerance();
      EXPECT_LT(relative(a.grad(), b.grad(), 0.5), close);
      if (with_branch) {
        EXPECT_EQ(branch_a.grad().scalar_type(), branch_type);
        EXPECT_LT(relative(branch_a.grad(), branch_b.grad(), 0.5),
                  branch_type == at::kFloat ? close : close + 1.0 / 256 + 1e-4);
      }
    }
  });
}

TEST_P(Fused, Rope) {
  for_all_sizes([&](int64_t rows, int64_t half) {
    const at::Tensor angles = at::randn({rows, half});
    for (const bool other : {false, true}) {  // pairs of neighbours, factors on the queries
      RopeTable table{at::cos(angles), at::sin(angles), other, {}};
      if (other) table.query_factors = at::rand({rows}) + 1;
      for (const int64_t beside : {0, 6}) {  // values of each head that are not rotated
        const int64_t head_dim = 2 * half + beside;
        compare(
            random(rows, 5 * head_dim), [&](const at::Tensor& x) { return rope(x, table, 3, 1, head_dim); },
            [&](const at::Tensor& x) { return rope_reference(x, table, 3, 1, head_dim); }, other ? 2 : 1);
      }
    }
  });
}

/// The columns are the vocabulary: a row of logits is what the kernel goes over.
TEST_P(Fused, TargetLoss) {
  for_all_sizes([&](int64_t rows, int64_t vocabulary) {
    constexpr int64_t width = 16;
    const at::Tensor head = random(vocabulary, width);
    const at::Tensor chosen = at::arange(0, rows, 2, at::kLong);
    const at::Tensor targets = at::randint(vocabulary, chosen.sizes(), at::kLong);
    const at::Tensor weights = at::rand(chosen.sizes());
    // The cap of the logits, and the smoothing of the targets.
    for (const auto& [cap, smoothing] :
         {std::pair{0.0, 0.0}, {1.5, 0.0}, {30.0, 0.0}, {0.0, 0.1}, {1.5, 0.5}}) {
      const at::Tensor a = leaf(random(rows, width)), b = leaf(a.to(at::kDouble));
      const TargetLoss ours = target_loss(a, chosen, targets, weights, head, {}, {cap, smoothing});
      const TargetLoss expected =
          target_loss_reference(b, chosen, targets, weights, head.to(at::kDouble), {}, {cap, smoothing});
      // The logits are also rounded, and with them a loss near 0 that is their difference.
      const double close = type() == at::kFloat ? 1e-5 : 3e-2;
      EXPECT_LT(relative(ours.nll + 1, expected.nll + 1), close);
      EXPECT_NEAR(ours.loss.item<double>(), expected.loss.item<double>(),
                  close * std::max(1.0, expected.loss.item<double>()));
      (ours.loss * 0.25).backward();
      (expected.loss * 0.25).backward();
      EXPECT_LT(relative(a.grad() + 1, b.grad() + 1), close);
    }
  });
}

/// Training must see it and stop.
TEST_P(Fused, NaNStaysNaN) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const int64_t column : {0, 20, 64}) {
    SCOPED_TRACE(column);
    for (const Gate gate : {Gate::silu, Gate::gelu, Gate::gelu_tanh}) {
      at::Tensor values = random(3, 130);
      values.select(1, column).fill_(nan);
      EXPECT_TRUE(glu(values, gate).isnan().select(1, column).all().item<bool>());
    }
    at::Tensor head = random(65, 16);
    head.select(0, column).fill_(nan);
    const at::Tensor rows = at::arange(4, at::kLong), targets = at::full({4}, 7, at::kLong);
    const TargetLoss found = target_loss(random(4, 16), rows, targets, at::rand({4}), head, {});
    EXPECT_TRUE(found.nll.isnan().all().item<bool>());
  }
}

INSTANTIATE_TEST_SUITE_P(EveryTarget, Fused,
                         testing::Combine(testing::ValuesIn(compiled_targets()),
                                          testing::Values(at::kFloat, at::kBFloat16)),
                         [](const auto& test) {
                           return target_name(std::get<0>(test.param)) +
                                  (std::get<1>(test.param) == at::kFloat ? "_f32" : "_bf16");
                         });

/// The backward pass divides by weights where it can.
TEST(AddRmsNorm, HasItsGradientWhereAWeightIsZero) {
  at::Tensor weight = at::rand({17}) + 0.5;
  weight.narrow(0, 3, 1).zero_();
  const at::Tensor x = at::randn({5, 17}), seed = at::randn({5, 17});
  const at::Tensor a = leaf(x), b = leaf(x.to(at::kDouble));
  add_rms_norm(a, {}, weight, 1e-5, at::kFloat).normed.backward(seed);
  add_rms_norm_reference(b, {}, weight.to(at::kDouble), 1e-5, at::kDouble)
      .normed.backward(seed.to(at::kDouble));
  EXPECT_LT(relative(a.grad(), b.grad()), 5e-6);
}

}  // namespace
}  // namespace lowrank
