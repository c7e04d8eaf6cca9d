// The Fastfood projection from its definition with dense matrices, its transpose, and DID's formula.
#include <bit>
#include <numeric>

#include <ATen/ops/dot.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "kernels/operations/walsh_hadamard.h"
#include "peft/subspace/fastfood.h"
#include "support/method_formula.h"

namespace lowrank {
namespace {

/// Values of a tensor and trained numbers: fewer, fewer than the period, and more than there are positions.
constexpr std::pair<int64_t, int64_t> sizes[] = {{100, 5}, {512, 100}, {60, 300}};

at::Tensor draws(int64_t n, uint64_t seed) {
  Philox random(seed);
  at::Tensor values = at::empty({n}, at::kDouble);
  for (int64_t i = 0; i < n; ++i) values[i] = random.normal();
  return values;
}

/// P x by the definition, with every transform and the permutation in full.
at::Tensor by_definition(const at::Tensor& x, int64_t count, uint64_t seed) {
  const auto n = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(count)));
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  Philox sign(seed, 0), permutation(seed, 1), normal(seed, 2);
  shuffle(order, permutation);
  std::vector<double> z(n);
  for (int64_t i = 0; i < std::min(n, x.numel()); ++i)
    z[i] = x[i].item<double>() * (sign.next() % 2 == 0 ? 1 : -1);
  walsh_hadamard_reference(z);
  std::vector<double> moved(n);
  double squares = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double g = normal.normal();
    moved[i] = g * z[order[i]];
    squares += g * g;
  }
  walsh_hadamard_reference(moved);
  at::Tensor out = at::empty({count}, at::kDouble);
  for (int64_t i = 0; i < count; ++i) out[i] = moved[i] / std::sqrt(static_cast<double>(count) * squares);
  return out;
}

TEST(Fastfood, EqualsItsDefinition) {
  for (const auto& [count, dimension] : sizes) {
    const at::Tensor x = draws(dimension, 1);
    const at::Tensor found = Fastfood(count, dimension, 9).project(x);
    EXPECT_LT(at::max(at::abs(found - by_definition(x, count, 9))).item<double>(), 1e-12);
  }
}

TEST(Fastfood, TransposedIsTheTranspose) {
  for (const auto& [count, dimension] : sizes) {
    const Fastfood projection(count, dimension, 9);
    const at::Tensor x = draws(dimension, 1), y = draws(count, 2);
    const auto forward = at::dot(projection.project(x), y).item<double>();
    EXPECT_NEAR(at::dot(x, projection.transposed(y)).item<double>(), forward, 1e-10);
  }
}

TEST(Fastfood, KeepsLengthsOnAverage) {
  double squares = 0;
  constexpr int64_t draws_taken = 200;
  for (uint64_t seed = 0; seed < draws_taken; ++seed) {
    const at::Tensor projected = Fastfood(3000, 50, seed).project(draws(50, seed + 1000));
    squares += at::dot(projected, projected).item<double>();
  }
  EXPECT_NEAR(squares / draws_taken / 50, 1, 0.05);
}

TEST(Did, AddsTheProjectionToEveryTensorButTheEmbeddings) {
  const test::MethodFormula did("did", {{"intrinsic_dimension", 40}});
  EXPECT_EQ(did.adapter.parameters->count(), 40);
  const std::vector<std::string>& names = did.adapter.plan.targets;
  EXPECT_EQ(names.size(), did.checkpoint->spec().tensors.size() - 2);
  const auto place = std::ranges::find(names, "model.layers.1.self_attn.q_proj.weight") - names.begin();
  const at::Tensor v = did.adapter.parameters->at("intrinsic_vector").detach();
  const uint64_t seed = derive_seed(7, 5, static_cast<uint64_t>(place));
  did.expect_merged("q_proj",
                    did.weight("q_proj") + by_definition(v, 32 * 32, seed).view({32, 32}).to(at::kFloat));
}

}  // namespace
}  // namespace lowrank
