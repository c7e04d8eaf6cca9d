// Patches of every kind on a frozen product, for ranges of rows and tokens, against the formula on whole
// tensors: values and gradients, with every kind of packing.
#include "kernels/products/patched_product.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tanh.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "kernels/products/low_rank_linear.h"
#include "kernels/tensor_error.h"

namespace lowrank {
namespace {

constexpr int64_t tokens = 7, in = 12, out = 20;

struct Weight {
  at::Tensor dense;
  std::shared_ptr<const PreparedWeight> packed;
};

Weight weight_of(at::ScalarType type, BaseMemory memory) {
  const at::Tensor w = at::randn({out, in}, at::kDouble) / 3;
  const RowSource source = [w](int64_t begin, int64_t end, at::Tensor& to) {
    to.copy_(w.narrow(0, begin, end - begin));
  };
  return {w, std::make_shared<const PreparedWeight>(
                 memory == BaseMemory::small ? PreparedWeight::expanded(source, out, in, type)
                                             : PreparedWeight::pack(w, type, memory, true, source))};
}

/// U(W) = tanh(W) * p by rows, in pairs of rows.
Patch updating(const at::Tensor& p, int64_t begin, int64_t end) {
  Patch patch;
  patch.begin = begin;
  patch.end = end;
  patch.update.parameters = {p};
  patch.update.group = 2;
  patch.update.rows = [](const at::Tensor& w, const std::vector<at::Tensor>& parameters, int64_t first,
                         int64_t last) {
    EXPECT_EQ(first % 2, 0);
    return at::tanh(w) * parameters[0].narrow(0, first, last - first);
  };
  return patch;
}

Patch factors(const at::Tensor& a, const at::Tensor& b, int64_t begin, int64_t first_token,
              int64_t end_token) {
  Patch patch;
  patch.A = a;
  patch.B = b;
  patch.scale = 0.5;
  patch.begin = begin;
  patch.end = begin + b.size(0);
  patch.first_token = first_token;
  patch.end_token = end_token;
  return patch;
}

class EveryPacking : public testing::TestWithParam<BaseMemory> {};

TEST_P(EveryPacking, AnUpdateOfTheWeightGivesItsProductAndGradients) {
  for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
    if (type == at::kDouble && GetParam() == BaseMemory::small) continue;  // f64 is always kept
    for (const double p_drop : {0.0, 0.4}) {
      const Weight w = weight_of(type, GetParam());
      const at::Tensor x = leaf(at::randn({tokens, in}).to(type)), x2 = leaf(x);
      const at::Tensor p = leaf(at::randn({10, in}).to(type)), p2 = leaf(p);
      Patch ours = updating(p, 4, 14), theirs = updating(p2, 4, 14);
      ours.dropout = theirs.dropout = {p_drop, 3};
      const at::Tensor y = low_rank_linear(x, w.packed, std::nullopt, {ours});
      const at::Tensor expected = dense_linear(x2, w.dense.to(type), std::nullopt, {theirs});
      const double bound = type == at::kDouble ? 1e-12 : 2e-5;
      EXPECT_LT(relative(y, expected), bound);
      const at::Tensor seed = at::randn({tokens, out}).to(type);
      y.backward(seed);
      expected.backward(seed);
      EXPECT_LT(relative(x.grad(), x2.grad()), bound);
      EXPECT_LT(relative(p.grad(), p2.grad()), bound);
    }
  }
}

TEST_P(EveryPacking, FactorsOfGroupsOfTokensAreThoseOfEachAlone) {
  const Weight w = weight_of(at::kFloat, GetParam());
  const at::Tensor x = at::randn({tokens, in});
  const at::Tensor a = at::randn({3, in}), b = at::randn({20, 3}), a2 = at::randn({5, in}),
                   b2 = at::randn({8, 5});
  const std::vector<Patch> patches{factors(a, b, 0, 0, 2), factors(a2, b2, 6, 2, 6),
                                   factors(a2, b2, 6, 6, 7)};
  at::Tensor expected = at::mm(x, w.dense.to(at::kFloat).t());
  expected.narrow(0, 0, 2).add_(at::mm(at::mm(x.narrow(0, 0, 2), a.t()), b.t()), 0.5);
  expected.narrow(0, 2, 5).narrow(1, 6, 8).add_(at::mm(at::mm(x.narrow(0, 2, 5), a2.t()), b2.t()), 0.5);
  // Without gradient one kernel for all; with it plain operations.
  const at::Tensor differentiable = low_rank_linear(leaf(x), w.packed, std::nullopt, patches);
  EXPECT_LT(relative(differentiable, expected), 1e-5);
  const at::NoGradGuard no_grad;
  EXPECT_LT(relative(low_rank_linear(x, w.packed, std::nullopt, patches), expected), 1e-5);
  std::vector<Patch> prepared = patches;
  for (Patch& patch : prepared) patch.scaled_b = (patch.B * patch.scale).t().contiguous();
  EXPECT_LT(relative(low_rank_linear(x, w.packed, std::nullopt, prepared), expected), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(PatchedProduct, EveryPacking,
                         testing::Values(BaseMemory::fast, BaseMemory::one, BaseMemory::small));

/// One patch with all that goes together.
Patch everything(bool maps) {
  Patch patch;
  patch.begin = 5;
  patch.end = 15;
  patch.in_scale = at::randn({in}, at::kDouble);
  patch.out_scale = at::randn({10}, at::kDouble);
  patch.bias = at::randn({10}, at::kDouble);
  patch.A = at::randn({3, in}, at::kDouble);
  patch.B = at::randn({10, 3}, at::kDouble);
  patch.scale = 0.7;
  const at::Tensor f = at::randn({10, in}, at::kDouble);
  patch.branch = [f](const at::Tensor& x) { return at::mm(x, f.t()); };
  patch.branch_is_linear = true;
  if (!maps) return patch;
  const at::Tensor m = at::randn({in, in}, at::kDouble), n = at::randn({10, 10}, at::kDouble);
  patch.in_map = {[m](const at::Tensor& x) { return at::mm(x, m.t()); },
                  [m](const at::Tensor& rows) { return at::mm(rows, m); }};
  patch.out_map = {[n](const at::Tensor& y) { return at::mm(y, n.t()); },
                   [n](const at::Tensor& rows) { return at::mm(rows, n); }};
  return patch;
}

TEST(PatchedProduct, MergingIsTheSameFormula) {
  const Weight w = weight_of(at::kDouble, BaseMemory::one);
  const at::Tensor x = at::randn({tokens, in}, at::kDouble), bias = at::randn({out}, at::kDouble);
  Patch splits;
  splits.begin = 5;
  splits.end = 15;
  splits.out_scale = at::randn({10}, at::kDouble);
  splits.scales_bias = false;
  for (const Patch& patch :
       {everything(false), everything(true), splits, updating(at::randn({10, in}, at::kDouble), 5, 15)}) {
    const at::Tensor y = low_rank_linear(x, w.packed, bias, {patch});
    const at::Tensor merged = patched_weight(w.dense.narrow(0, 5, 10), {patch});
    const at::Tensor expected = at::cat({at::mm(x, w.dense.narrow(0, 0, 5).t()) + bias.narrow(0, 0, 5),
                                         at::mm(x, merged.t()) + patched_bias(bias.narrow(0, 5, 10), {patch}),
                                         at::mm(x, w.dense.narrow(0, 15, 5).t()) + bias.narrow(0, 15, 5)},
                                        1);
    EXPECT_LT(relative(y, expected), 1e-12);
  }
}

TEST(PatchedProduct, PatchesThatDoNotAddCannotShareRowsAndTokens) {
  const Weight w = weight_of(at::kDouble, BaseMemory::one);
  const at::Tensor x = at::randn({tokens, in}, at::kDouble);
  const at::Tensor a = at::randn({3, in}, at::kDouble), b = at::randn({out, 3}, at::kDouble);
  Patch scales;
  scales.end = out;
  scales.out_scale = at::randn({out}, at::kDouble);
  scales.end_token = 3;
  EXPECT_THROW(low_rank_linear(x, w.packed, std::nullopt, {scales, factors(a, b, 0, 2, 7)}), Error);
  const at::Tensor y = low_rank_linear(x, w.packed, std::nullopt, {scales, factors(a, b, 0, 3, 7)});
  const at::Tensor plain = at::mm(x, w.dense.t());
  EXPECT_LT(relative(y.narrow(0, 0, 3), plain.narrow(0, 0, 3) * scales.out_scale), 1e-12);
  EXPECT_LT(relative(y.narrow(0, 3, 4),
                     plain.narrow(0, 3, 4) + at::mm(at::mm(x.narrow(0, 3, 4), a.t()), b.t()) / 2),
            1e-12);
}

}  // namespace
}  // namespace lowrank
