// The gated delta rule: by its formula, by finite differences, and in chunks against the reference on every
// Highway target, over packed sequences, forks and states carried over.
#include "kernels/operations/delta_rule.h"

#include <tuple>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "kernels/highway_target.h"
#include "kernels/tensor_error.h"

namespace lowrank {
namespace {

/// Operands of a delta rule that require gradients, and their copies in f64.
struct Operands {
  Operands(int64_t rows, const DeltaRuleShape& shape, at::ScalarType type)
      : qkv(leaf(at::randn({rows, shape.columns()}).to(type))),
        decay(leaf(at::rand({rows, shape.value_heads}) * -0.7)),
        beta(leaf(at::rand({rows, shape.value_heads}))) {}
  Operands(const Operands& other, at::ScalarType type)
      : qkv(leaf(other.qkv.to(type))), decay(leaf(other.decay.to(type))), beta(leaf(other.beta.to(type))) {}

  at::Tensor qkv, decay, beta;
};

constexpr DeltaRuleShape small{1, 2, 2, 3};

TEST(DeltaRule, IsTheRecurrence) {
  const Operands x(Operands(5, small, at::kFloat), at::kDouble);
  const at::Tensor y = delta_rule(x.qkv, x.decay, x.beta, small, {{0, 5}, {}}, {});
  const auto value = [](const at::Tensor& of, int64_t i, int64_t j) { return of[i][j].item<double>(); };
  for (int64_t head = 0; head < 2; ++head) {
    double state[2][3] = {};
    for (int64_t t = 0; t < 5; ++t) {
      double q[2], k[2], q_square = 1e-6, k_square = 1e-6;
      for (int64_t i = 0; i < 2; ++i) {
        q[i] = value(x.qkv, t, i);
        k[i] = value(x.qkv, t, 2 + i);
        q_square += q[i] * q[i];
        k_square += k[i] * k[i];
      }
      for (auto& row : state) {
        for (double& cell : row) cell *= std::exp(value(x.decay, t, head));
      }
      for (int64_t j = 0; j < 3; ++j) {
        double said = 0, out = 0;
        for (int64_t i = 0; i < 2; ++i) said += state[i][j] * k[i] / std::sqrt(k_square);
        const double error = value(x.beta, t, head) * (value(x.qkv, t, 4 + head * 3 + j) - said);
        for (int64_t i = 0; i < 2; ++i) {
          state[i][j] += k[i] / std::sqrt(k_square) * error;
          out += state[i][j] * q[i] / std::sqrt(q_square) / std::sqrt(2.0);
        }
        EXPECT_NEAR(value(y, t, head * 3 + j), out, 1e-12) << t;
      }
    }
  }
}

/// Lengths around chunks, an empty sequence and forks: 3 continues 0, 4 and 5 continue 3.
const RowSequences forked_rows{{0, 70, 71, 71, 200, 203, 267}, {-1, -1, -1, 0, 3, 3}};

TEST(DeltaRule, ForksAndCarriedStatesEqualTheWholeSequence) {
  const Operands x(Operands(267, small, at::kFloat), at::kDouble);
  const at::Tensor y = delta_rule(x.qkv, x.decay, x.beta, small, forked_rows, {});
  const auto parts = [](const at::Tensor& of) {
    return at::cat({of.narrow(0, 0, 70), of.narrow(0, 71, 129), of.narrow(0, 203, 64)}).detach();
  };
  const at::Tensor qkv = parts(x.qkv), decay = parts(x.decay), beta = parts(x.beta);
  const at::Tensor whole = delta_rule(qkv, decay, beta, small, {{0, 263}, {}}, {});
  EXPECT_LT(relative(parts(y), whole), 1e-12);
  at::Tensor states = at::zeros({1, 2, 2, 3}, at::kDouble);
  std::vector<at::Tensor> pieces;
  for (const auto& [begin, count] : {std::pair<int64_t, int64_t>{0, 1}, {1, 64}, {65, 198}}) {
    pieces.push_back(delta_rule(qkv.narrow(0, begin, count), decay.narrow(0, begin, count),
                                beta.narrow(0, begin, count), small, {{0, count}, {}}, states));
  }
  EXPECT_LT(relative(at::cat(pieces), whole), 1e-12);
}

TEST(DeltaRule, GradientsMatchFiniteDifferences) {
  const Operands x(Operands(8, small, at::kFloat), at::kDouble);
  const RowSequences fork{{0, 3, 5, 8}, {-1, 0, 0}};
  const at::Tensor seed = at::randn({8, 6}, at::kDouble);
  const auto loss = [&] { return (delta_rule(x.qkv, x.decay, x.beta, small, fork, {}) * seed).sum(); };
  loss().backward();
  const at::NoGradGuard no_grad;
  constexpr double step = 1e-5;
  for (const at::Tensor& of : {x.qkv, x.decay, x.beta}) {
    at::Tensor values = of.view({-1});
    for (int64_t i = 0; i < values.numel(); ++i) {
      const double before = values[i].item<double>();
      values[i] = before + step;
      const double above = loss().item<double>();
      values[i] = before - step;
      const double below = loss().item<double>();
      values[i] = before;
      EXPECT_NEAR(of.grad().view({-1})[i].item<double>(), (above - below) / (2 * step), 1e-7) << i;
    }
  }
}

TEST(DeltaRuleOfDevices, EqualsTheReference) {
  for (const DeltaRuleShape& shape : {small, DeltaRuleShape{2, 4, 20, 19}}) {
    for (const double decays : {1.0, 300.0}) {
      for (const bool continued : {false, true}) {
        const RowSequences sequences = continued ? RowSequences{forked_rows.offsets, {}} : forked_rows;
        Operands ours(Operands(267, shape, at::kFloat), at::kDouble);
        {
          const at::NoGradGuard no_grad;
          ours.decay.mul_(decays);
        }
        const Operands rows(ours, at::kDouble);
        at::Tensor states, row_states;
        if (continued) {
          states = at::randn({6, shape.value_heads, shape.key_dim, shape.value_dim}, at::kDouble);
          row_states = states.clone();
        }
        const at::Tensor y = delta_rule_in_chunks(ours.qkv, ours.decay, ours.beta, shape, sequences, states);
        const at::Tensor expected =
            delta_rule_reference(rows.qkv, rows.decay, rows.beta, shape, sequences, row_states);
        EXPECT_LT(relative(y, expected), 1e-10);
        if (continued) {
          EXPECT_LT(relative(states, row_states), 1e-10);
        }
        const at::Tensor seed = at::randn(y.sizes(), at::kDouble);
        y.backward(seed);
        expected.backward(seed);
        EXPECT_LT(relative(ours.qkv.grad(), rows.qkv.grad()), 1e-9);
        EXPECT_LT(relative(ours.decay.grad(), rows.decay.grad(), 1e-3), 1e-9);
        EXPECT_LT(relative(ours.beta.grad(), rows.beta.grad()), 1e-9);
      }
    }
  }
}

/// target, type
class ChunkedDeltaRule : public OnTarget<std::tuple<int64_t, at::ScalarType>> {};

TEST_P(ChunkedDeltaRule, EqualsTheReference) {
  const at::ScalarType type = std::get<1>(GetParam());
  const double tolerance = type == at::kFloat ? 2e-5 : 1.0 / 256 + 1e-3;
  for (const DeltaRuleShape& shape :
       {small, DeltaRuleShape{2, 4, 20, 19}, DeltaRuleShape{1, 1, 64, 72}, DeltaRuleShape{1, 1, 70, 150}}) {
    for (const bool continued : {false, true}) {
      const RowSequences sequences = continued ? RowSequences{forked_rows.offsets, {}} : forked_rows;
      const Operands ours(267, shape, type), exact(ours, at::kDouble);
      at::Tensor states, exact_states;
      if (continued) {
        states = at::randn({6, shape.value_heads, shape.key_dim, shape.value_dim});
        exact_states = states.to(at::kDouble);
      }
      const at::Tensor y = delta_rule(ours.qkv, ours.decay, ours.beta, shape, sequences, states);
      const at::Tensor expected =
          delta_rule_reference(exact.qkv, exact.decay, exact.beta, shape, sequences, exact_states);
      EXPECT_EQ(y.scalar_type(), type);
      EXPECT_LT(relative(y, expected), tolerance);
      if (continued) {
        EXPECT_LT(relative(states, exact_states), 2e-5);
      }
      const at::Tensor seed = at::randn(y.sizes()).to(type);
      y.backward(seed);
      expected.backward(seed.to(at::kDouble));
      EXPECT_LT(relative(ours.qkv.grad(), exact.qkv.grad()), tolerance);
      EXPECT_LT(relative(ours.decay.grad(), exact.decay.grad()), 1e-4);
      EXPECT_LT(relative(ours.beta.grad(), exact.beta.grad()), 1e-4);
    }
  }
}

TEST_P(ChunkedDeltaRule, StandsStrongAndVanishingDecays) {
  const at::ScalarType type = std::get<1>(GetParam());
  const DeltaRuleShape shape{1, 1, 16, 16};
  Operands ours(130, shape, type);
  {
    const at::NoGradGuard no_grad;
    ours.decay.mul_(300);
    ours.decay.narrow(0, 40, 20).zero_();
    ours.beta.narrow(0, 50, 20).fill_(1);
    ours.qkv.narrow(0, 60, 3).zero_();
  }
  const Operands exact(ours, at::kDouble);
  const RowSequences one{{0, 130}, {}};
  const at::Tensor y = delta_rule(ours.qkv, ours.decay, ours.beta, shape, one, {});
  const at::Tensor expected = delta_rule(exact.qkv, exact.decay, exact.beta, shape, one, {});
  EXPECT_LT(relative(y, expected), type == at::kFloat ? 1e-4 : 0.01);
  y.backward(at::randn(y.sizes()).to(type));
  for (const at::Tensor& of : {ours.qkv, ours.decay, ours.beta})
    EXPECT_TRUE(of.grad().isfinite().all().item<bool>());
}

INSTANTIATE_TEST_SUITE_P(Targets, ChunkedDeltaRule,
                         testing::Combine(testing::ValuesIn(compiled_targets()),
                                          testing::Values(at::kFloat, at::kBFloat16)),
                         [](const auto& info) {
                           return target_name(std::get<0>(info.param)) +
                                  (std::get<1>(info.param) == at::kFloat ? "_f32" : "_bf16");
                         });

}  // namespace
}  // namespace lowrank
