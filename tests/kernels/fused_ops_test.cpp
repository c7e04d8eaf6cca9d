// Each fused kernel against its plain reference: result and gradient, f32 and bf16, odd sizes and no rows at
// all.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/max.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "kernels/adamw.h"
#include "kernels/dropout.h"
#include "kernels/glu.h"
#include "kernels/head_norm.h"
#include "kernels/low_rank_linear.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/target_loss.h"

namespace lowrank {
namespace {

/// Largest difference relative to the largest value.
double relative(const at::Tensor& ours, const at::Tensor& expected) {
  if (expected.numel() == 0) return ours.numel() == 0 ? 0 : 1e9;
  const at::Tensor a = ours.to(at::kDouble);
  const at::Tensor b = expected.to(at::kDouble);
  return at::max(at::abs(a - b)).item<double>() / std::max(1e-12, at::max(at::abs(b)).item<double>());
}

at::Tensor leaf(const at::Tensor& tensor) {
  at::Tensor copy = tensor.detach().clone();
  copy.set_requires_grad(true);
  return copy;
}

struct Shape {
  at::ScalarType type;
  int64_t rows, columns;
  double tolerance;
};

class Fused : public testing::TestWithParam<Shape> {};

TEST_P(Fused, Glu) {
  const auto [type, rows, columns, tolerance] = GetParam();
  for (const Gate gate : {Gate::silu, Gate::gelu_tanh}) {
    // Real models have gates of some hundreds.
    at::Tensor values = at::randn({rows, 2 * columns}) * 2;
    if (rows > 0) values.select(0, 0).mul_(200);
    const at::Tensor a = leaf(values.to(type));
    const at::Tensor b = leaf(a);
    const at::Tensor seed = at::randn({rows, columns}).to(type);
    const at::Tensor ours = glu(a, gate);
    const at::Tensor expected = glu_reference(b, gate);
    EXPECT_LT(relative(ours, expected), tolerance);
    ours.backward(seed);
    expected.backward(seed);
    EXPECT_LT(relative(a.grad(), b.grad()), tolerance);
  }
}

TEST_P(Fused, HeadNorm) {
  const auto [type, rows, columns, tolerance] = GetParam();
  const at::Tensor query = at::rand({columns}) + 0.5;
  const at::Tensor key = at::rand({columns}) + 0.5;
  const at::Tensor a = leaf((at::randn({rows, 7 * columns}) * 2).to(type));
  const at::Tensor b = leaf(a);
  const at::Tensor ours = head_norm(a, query, key, 3, 2, 1e-5);
  const at::Tensor expected = head_norm_reference(b, query, key, 3, 2, 1e-5);
  EXPECT_LT(relative(ours, expected), tolerance);
  const at::Tensor seed = at::randn({rows, 7 * columns}).to(type);
  ours.backward(seed);
  expected.backward(seed);
  EXPECT_LT(relative(a.grad(), b.grad()), tolerance);
}

TEST_P(Fused, AddRmsNorm) {
  const auto [type, rows, columns, tolerance] = GetParam();
  const at::Tensor weight = at::rand({columns}) + 0.5;
  const at::Tensor branch = at::randn({rows, columns}).to(type);
  for (const bool with_branch : {true, false}) {
    const at::Tensor stream_a = leaf(at::randn({rows, columns}));
    const at::Tensor stream_b = leaf(stream_a);
    const at::Tensor branch_a = with_branch ? leaf(branch) : at::Tensor();
    const at::Tensor branch_b = with_branch ? leaf(branch) : at::Tensor();
    const AddNorm ours = add_rms_norm(stream_a, branch_a, weight, 1e-5, type);
    const AddNorm expected = add_rms_norm_reference(stream_b, branch_b, weight, 1e-5, type);
    EXPECT_LT(relative(ours.stream, expected.stream), 1e-6);
    EXPECT_LT(relative(ours.normed, expected.normed), tolerance);
    const at::Tensor seed = at::randn({rows, columns});
    (ours.stream * seed + ours.normed.to(at::kFloat) * seed.cos()).sum().backward();
    (expected.stream * seed + expected.normed.to(at::kFloat) * seed.cos()).sum().backward();
    EXPECT_LT(relative(stream_a.grad(), stream_b.grad()), tolerance);
    if (with_branch) {
      EXPECT_LT(relative(branch_a.grad(), branch_b.grad()), tolerance);
    }
  }
}

TEST_P(Fused, Rope) {
  const auto [type, rows, columns, tolerance] = GetParam();
  const int64_t head_dim = 2 * ((columns + 1) / 2) + 6;
  const int64_t half = head_dim / 2 - 3;  // a part of each head is not rotated
  const at::Tensor angles = at::randn({rows, half});
  const RopeTable table{at::cos(angles), at::sin(angles)};
  const at::Tensor a = leaf(at::randn({rows, 5 * head_dim}).to(type));
  const at::Tensor b = leaf(a);
  const at::Tensor ours = rope(a, table, 3, 1, head_dim);
  const at::Tensor expected = rope_reference(b, table, 3, 1, head_dim);
  EXPECT_LT(relative(ours, expected), tolerance);
  const at::Tensor seed = at::randn({rows, 5 * head_dim}).to(type);
  ours.backward(seed);
  expected.backward(seed);
  EXPECT_LT(relative(a.grad(), b.grad()), tolerance);
}

TEST_P(Fused, LowRankLinear) {
  const auto [type, rows, columns, tolerance] = GetParam();
  const int64_t out = 2 * columns + 3;
  const at::Tensor w = at::randn({out, columns}) / std::sqrt(static_cast<double>(columns));
  const RowSource rows_of_w = [&, type = type](int64_t begin, int64_t end, at::Tensor& to) {
    to.copy_(w.narrow(0, begin, end - begin).to(type));
  };
  for (const BaseMemory memory : {BaseMemory::fast, BaseMemory::one, BaseMemory::small}) {
    const auto weight = std::make_shared<const PackedWeight>(
        memory == BaseMemory::small ? PackedWeight::expanded(rows_of_w, out, columns, type)
                                    : PackedWeight::pack(w, type, memory, true));
    // Two ranks of 65 are more than the kernels of low_rank_fused take, and dropout leaves them, too.
    for (const auto& [rank, dropout] : {std::pair{4, 0.0}, {3, 0.0}, {9, 0.0}, {65, 0.0}, {4, 0.3}}) {
      const auto patches_of = [columns = columns, out, dropout = dropout](
                                  const at::Tensor& a, const at::Tensor& b, const at::Tensor& b2) {
        Patch first{{}, a, b, {}, {}, 0.7, 0, columns, {dropout, 5}};
        Patch second{{}, a, b2, {}, {}, 1.3, columns + 1, out, {dropout, 6}};
        return std::vector<Patch>{first, second};
      };
      const at::Tensor x = leaf(at::randn({rows, columns}).to(type));
      const at::Tensor y = leaf(x);
      const at::Tensor a = leaf(at::randn({rank, columns}) * 0.1), a2 = leaf(a);
      const at::Tensor b = leaf(at::randn({columns, rank})), b2 = leaf(b);
      const at::Tensor c = leaf(at::randn({out - columns - 1, rank})), c2 = leaf(c);
      const at::Tensor ours = low_rank_linear(x, weight, std::nullopt, patches_of(a, b, c));
      const at::Tensor expected = low_rank_linear_reference(y, weight, std::nullopt, patches_of(a2, b2, c2));
      EXPECT_LT(relative(ours, expected), tolerance);
      const at::Tensor seed = at::randn({rows, out}).to(type);
      ours.backward(seed);
      expected.backward(seed);
      EXPECT_LT(relative(x.grad(), y.grad()), tolerance);
      EXPECT_LT(relative(a.grad(), a2.grad()), tolerance);
      EXPECT_LT(relative(b.grad(), b2.grad()), tolerance);
      EXPECT_LT(relative(c.grad(), c2.grad()), tolerance);
    }
    // The frozen product itself, against a plain one.
    const at::NoGradGuard no_grad;
    const at::Tensor x = at::randn({rows, columns}).to(type);
    EXPECT_LT(relative(weight->forward(x), at::mm(x.to(at::kDouble), w.t().to(at::kDouble))), 4 * tolerance);
  }
}

TEST_P(Fused, TargetLoss) {
  const auto [type, rows, columns, tolerance] = GetParam();
  constexpr int64_t vocabulary = 501;
  const at::Tensor head = at::randn({vocabulary, columns}).to(type);
  const at::Tensor a = leaf((at::randn({rows, columns}) * 0.5).to(type));
  const at::Tensor b = leaf(a);
  const at::Tensor chosen = at::arange(0, rows, 2, at::kLong);
  const at::Tensor targets = at::randint(vocabulary, chosen.sizes(), at::kLong);
  const at::Tensor weights = at::rand(chosen.sizes());
  const TargetLoss ours = target_loss(a, chosen, targets, weights, head, {});
  const TargetLoss expected = target_loss_reference(b, chosen, targets, weights, head, {});
  EXPECT_LT(relative(ours.nll, expected.nll), tolerance);
  EXPECT_NEAR(ours.loss.item<double>(), expected.loss.item<double>(),
              tolerance * std::max(1.0, expected.loss.item<double>()));
  (ours.loss * 0.25).backward();
  (expected.loss * 0.25).backward();
  EXPECT_LT(relative(a.grad(), b.grad()), 2 * tolerance);
}

TEST(Fused, TheLossOfAHeadThatTrainsGivesBothGradients) {
  for (const bool moves_hidden : {true, false}) {
    const at::Tensor x = at::randn({9, 16});
    const at::Tensor w = at::randn({40000, 16}) * 0.3;  // of 210 targets, a chunk holds 209
    const at::Tensor chosen = at::randint(9, {210}, at::kLong);
    const at::Tensor targets = at::randint(40000, {210}, at::kLong);
    const at::Tensor weights = at::rand({210});
    at::Tensor a = leaf(x), b = leaf(x), head = leaf(w), other = leaf(w);
    a.set_requires_grad(moves_hidden);
    (target_loss(a, chosen, targets, weights, head, {}).loss * 0.25).backward();
    (target_loss_reference(b, chosen, targets, weights, other, {}).loss * 0.25).backward();
    EXPECT_LT(relative(head.grad(), other.grad()), 2e-5);
    if (moves_hidden) {
      EXPECT_LT(relative(a.grad(), b.grad()), 2e-5);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Fused,
                         testing::Values(Shape{at::kFloat, 1, 16, 1e-5}, Shape{at::kFloat, 7, 37, 1e-5},
                                         Shape{at::kFloat, 50, 576, 2e-5}, Shape{at::kFloat, 0, 16, 1e-5},
                                         Shape{at::kBFloat16, 1, 16, 3e-2}, Shape{at::kBFloat16, 7, 37, 3e-2},
                                         Shape{at::kBFloat16, 50, 576, 3e-2},
                                         Shape{at::kBFloat16, 0, 16, 3e-2}));

TEST(Fused, NothingIsDifferentiatedForFrozenThings) {
  const auto weight = std::make_shared<const PackedWeight>(
      PackedWeight::pack(at::randn({8, 8}), at::kFloat, BaseMemory::fast, true));
  const at::Tensor x = at::randn({3, 8});
  EXPECT_FALSE(low_rank_linear(x, weight, std::nullopt, {}).requires_grad());
  EXPECT_FALSE(glu(x, Gate::silu).requires_grad());
  EXPECT_FALSE(add_rms_norm(x, {}, at::rand({8}), 1e-5, at::kFloat).normed.requires_grad());
}

/// What is asked for does not depend on what else is: gradients of any subset of x, A and B are those of all.
TEST(Fused, LowRankGradientsOfASubsetAreThoseOfAll) {
  const auto weight = std::make_shared<const PackedWeight>(
      PackedWeight::pack(at::randn({37, 17}), at::kFloat, BaseMemory::one, true));
  const at::Tensor values[] = {at::randn({70, 17}), at::randn({3, 17}), at::randn({20, 3}),
                               at::randn({5, 17}), at::randn({16, 5})};
  const at::Tensor seed = at::randn({70, 37});
  const auto gradients = [&](unsigned asked) {
    std::vector<at::Tensor> leaves;
    for (unsigned i = 0; i < 5; ++i)
      leaves.push_back(values[i].clone().set_requires_grad((asked >> i & 1) != 0));
    const Patch first{{}, leaves[1], leaves[2], {}, {}, 0.7, 0, 20, {}};
    const Patch second{{}, leaves[3], leaves[4], {}, {}, 1.3, 21, 37, {}};
    low_rank_linear(leaves[0], weight, std::nullopt, {first, second}).backward(seed);
    for (at::Tensor& one : leaves) one = one.grad();
    return leaves;
  };
  const std::vector<at::Tensor> all = gradients(0b11111);
  for (unsigned asked = 1; asked < 32; ++asked) {
    const std::vector<at::Tensor> some = gradients(asked);
    for (unsigned i = 0; i < 5; ++i) {
      ASSERT_EQ(some[i].defined(), (asked >> i & 1) != 0) << asked;
      if (!some[i].defined()) continue;
      EXPECT_TRUE(at::equal(some[i], all[i])) << asked << " " << i;
    }
  }
}

TEST(Dropout, KeepsItsShareAndFollowsTheSeed) {
  const at::Tensor x = at::zeros({1000, 100}).fill_(1);
  const at::Tensor dropped = apply_dropout(x, {0.25, 3});
  EXPECT_NEAR(dropped.mean().item<double>(), 1, 0.01);
  EXPECT_NEAR((dropped == 0).to(at::kFloat).mean().item<double>(), 0.25, 0.01);
  EXPECT_TRUE(at::equal(dropped, apply_dropout(x, {0.25, 3})));
  EXPECT_FALSE(at::equal(dropped, apply_dropout(x, {0.25, 4})));
}

TEST(AdamW, FollowsTheFormulaInDouble) {
  constexpr int64_t count = 40000;
  at::Tensor p = at::randn({count});
  at::Tensor m = at::zeros({count}), v = at::zeros({count});
  at::Tensor p2 = p.to(at::kDouble), m2 = m.to(at::kDouble), v2 = v.to(at::kDouble);
  const std::vector<AdamWGroup> groups{{0, 30000, 1e-2, 0.1}, {30000, count, 3e-2, 0}};
  for (int64_t step = 1; step <= 20; ++step) {
    const at::Tensor g = at::randn({count});
    adamw_step(p, g, m, v, groups, {}, step, 0.5);
    const at::Tensor scaled = g.to(at::kDouble) * 0.5;
    m2 = m2 * 0.9 + scaled * 0.1;
    v2 = v2 * 0.999 + scaled * scaled * 0.001;
    for (const AdamWGroup& group : groups) {
      const auto part = [&](const at::Tensor& t) {
        return t.narrow(0, group.begin, group.end - group.begin);
      };
      at::Tensor values = part(p2);
      values.mul_(1 - group.learning_rate * group.weight_decay);
      const at::Tensor denominator =
          part(v2).sqrt() / std::sqrt(1 - std::pow(0.999, static_cast<double>(step))) + 1e-8;
      values.sub_(part(m2) / denominator *
                  (group.learning_rate / (1 - std::pow(0.9, static_cast<double>(step)))));
    }
  }
  EXPECT_LT(relative(p, p2), 2e-6);
  const double norm = p.to(at::kDouble).pow(2).sum().item<double>();
  EXPECT_NEAR(squared_norm(p), norm, 1e-9 * norm);
}

}  // namespace
}  // namespace lowrank
