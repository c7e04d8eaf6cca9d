// The frozen product with its low-rank patches against plain operations: result and gradients, f32 and bf16,
// every kind of packing, odd sizes and no rows at all, on every Highway target that this machine has.
#include "kernels/products/low_rank_linear.h"

#include <cmath>
#include <tuple>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "kernels/highway_target.h"
#include "kernels/operations/dropout.h"
#include "kernels/operations/glu.h"
#include "kernels/operations/rms_norm.h"
#include "kernels/products/products.h"
#include "kernels/tensor_error.h"

namespace lowrank {
namespace {

struct ProductShape {
  at::ScalarType type;
  int64_t rows, columns;
  double tolerance;
};

/// target, shape
class LowRankProduct : public OnTarget<std::tuple<int64_t, ProductShape>> {};

TEST_P(LowRankProduct, EqualsPlainOperations) {
  const auto [type, rows, columns, tolerance] = std::get<1>(GetParam());
  const int64_t out = 2 * columns + 3;
  const at::Tensor w = at::randn({out, columns}) / std::sqrt(static_cast<double>(columns));
  const RowSource rows_of_w = [&, type = type](int64_t begin, int64_t end, at::Tensor& to) {
    to.copy_(w.narrow(0, begin, end - begin).to(type));
  };
  for (const BaseMemory memory : {BaseMemory::fast, BaseMemory::one, BaseMemory::small}) {
    const auto weight = std::make_shared<const PreparedWeight>(
        memory == BaseMemory::small ? PreparedWeight::expanded(rows_of_w, out, columns, type)
                                    : PreparedWeight::pack(w, type, memory, true));
    // Two ranks of 65 are more than the kernels of low_rank_fused take; dropout also bypasses them.
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
    // The frozen product itself, against a plain one of the same operands in f64: bf16 is rounded once.
    constexpr double one_rounding = 1.0 / 256 + 1e-4;
    const at::NoGradGuard no_grad;
    const at::Tensor x = at::randn({rows, columns}).to(type);
    EXPECT_LT(relative(weight->forward(x), at::mm(x.to(at::kDouble), w.to(type).t().to(at::kDouble))),
              type == at::kFloat ? tolerance : one_rounding);
  }
}

// Reached: 1e-6 in f32, 0.011 in bf16, whose largest values are rounded to 1 / 256 of themselves.
constexpr ProductShape product_shapes[] = {{at::kFloat, 1, 16, 3e-6},      {at::kFloat, 7, 37, 3e-6},
                                           {at::kFloat, 50, 576, 3e-6},    {at::kFloat, 0, 16, 3e-6},
                                           {at::kBFloat16, 1, 16, 2e-2},   {at::kBFloat16, 7, 37, 2e-2},
                                           {at::kBFloat16, 50, 576, 2e-2}, {at::kBFloat16, 0, 16, 2e-2}};

INSTANTIATE_TEST_SUITE_P(EveryTarget, LowRankProduct,
                         testing::Combine(testing::ValuesIn(compiled_targets()),
                                          testing::ValuesIn(product_shapes)),
                         [](const auto& test) {
                           return target_name(std::get<0>(test.param)) + "_shape_" +
                                  std::to_string(test.index % std::size(product_shapes));
                         });

/// bf16 operands are exact in f64; the sums are f32 and rounded once, whatever the processor has.
TEST(Product, OfBf16IsRoundedOnce) {
  for (const auto& [rows, in, out] :
       {std::array<int64_t, 3>{1, 1, 1}, {3, 17, 7}, {65, 33, 129}, {5, 1024, 4100}}) {
    const at::Tensor x = at::randn({rows, in}).to(at::kBFloat16);
    const at::Tensor w = at::randn({out, in}).to(at::kBFloat16);
    const at::Tensor bias = at::randn({out}).to(at::kBFloat16);
    const at::Tensor truth = at::mm(x.to(at::kDouble), w.t().to(at::kDouble));
    constexpr double half_a_unit = 1.0 / 256;  // bf16 has 8 significant bits
    EXPECT_LT(relative(product(x, w), truth), half_a_unit);
    EXPECT_LT(relative(product(x, w, bias), truth + bias), half_a_unit);
    EXPECT_LT(relative(product(x, w.t().contiguous().t()), truth), half_a_unit);
  }
  EXPECT_EQ(product(at::zeros({0, 4}, at::kBFloat16), at::zeros({3, 4}, at::kBFloat16)).sizes(),
            (std::vector<int64_t>{0, 3}));
}

/// A requested gradient does not depend on which others are: those of any subset of x, A and B equal those of
/// all.
TEST(LowRankLinear, GradientsOfASubsetAreThoseOfAll) {
  const auto weight = std::make_shared<const PreparedWeight>(
      PreparedWeight::pack(at::randn({37, 17}), at::kFloat, BaseMemory::one, true));
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

/// Two adapters' patches, each for its own tokens, and tokens without any in between.
TEST(LowRankLinear, TokensOfSeveralAdaptersShareTheFrozenProduct) {
  for (const auto& [type, close] : {std::pair(at::kFloat, 1e-5), {at::kBFloat16, 3e-2}}) {
    const at::Tensor w = at::randn({24, 40});
    const auto weight =
        std::make_shared<const PreparedWeight>(PreparedWeight::pack(w, type, BaseMemory::one, true));
    const auto patch_of = [](const at::Tensor& a, const at::Tensor& b, int64_t begin, int64_t first,
                             int64_t end) {
      Patch patch{{}, a, b, {}, {}, 0.7, begin, begin + b.size(0)};
      patch.first_token = first;
      patch.end_token = end;
      return patch;
    };
    std::vector<at::Tensor> ours, plain;
    for (const auto& [rows, columns] :
         {std::pair(70, 40), {3, 40}, {10, 3}, {3, 40}, {14, 3}, {5, 40}, {24, 5}}) {
      ours.push_back(leaf(at::randn({rows, columns}).to(ours.empty() ? type : at::kFloat)));
      plain.push_back(leaf(ours.back()));
    }
    const auto product_of = [&](const std::vector<at::Tensor>& in, const auto& function) {
      return function(in[0], weight, std::nullopt,
                      std::vector<Patch>{patch_of(in[1], in[2], 0, 0, 33), patch_of(in[3], in[4], 10, 0, 33),
                                         patch_of(in[5], in[6], 0, 40, Patch::all_tokens)});
    };
    const auto fused = [](const auto&... arguments) { return low_rank_linear(arguments...); };
    const auto reference = [](const auto&... arguments) { return low_rank_linear_reference(arguments...); };
    const at::Tensor y = product_of(ours, fused), expected = product_of(plain, reference);
    EXPECT_LT(relative(y.detach(), expected.detach()), close);
    const at::Tensor slope = at::randn(y.sizes()).to(type);
    y.backward(slope);
    expected.backward(slope);
    for (size_t i = 0; i < ours.size(); ++i) EXPECT_LT(relative(ours[i].grad(), plain[i].grad()), close) << i;
  }
}

TEST(FrozenThings, AreNotDifferentiated) {
  const auto weight = std::make_shared<const PreparedWeight>(
      PreparedWeight::pack(at::randn({8, 8}), at::kFloat, BaseMemory::fast, true));
  const at::Tensor x = at::randn({3, 8});
  EXPECT_FALSE(low_rank_linear(x, weight, std::nullopt, {}).requires_grad());
  EXPECT_FALSE(glu(x, Gate::silu).requires_grad());
  EXPECT_FALSE(add_rms_norm(x, {}, at::rand({8}), 1e-5, at::kFloat).normed.requires_grad());
}

}  // namespace
}  // namespace lowrank
