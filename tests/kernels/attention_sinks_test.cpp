// Sinks in attention: the plain operations against loops, and the fused kernel against the plain operations.
#include "kernels/operations/attention_sinks.h"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

namespace lowrank {
namespace {

constexpr AttentionShape shape{4, 2, 8, 0.4, true, 5};

std::shared_ptr<const AttentionPlan> plan_of(std::vector<int64_t> offsets) {
  return std::make_shared<const AttentionPlan>(packed_plan(offsets));
}

/// The output of a head for one row of a sequence that begins at row 0.
std::vector<double> plain(const at::Tensor& qkv, int64_t row, int64_t head, double sink) {
  const auto at_place = [&](int64_t t, int64_t column) { return qkv[t][column].item<double>(); };
  const int64_t d = shape.head_dim, keys = shape.heads * d + head / 2 * d, values = keys + 2 * d;
  double sum = std::exp(sink);
  std::vector<double> out(d, 0);
  for (int64_t t = std::max<int64_t>(0, row - 4); t <= row; ++t) {
    double score = 0;
    for (int64_t i = 0; i < d; ++i) score += at_place(row, head * d + i) * at_place(t, keys + i);
    const double weight = std::exp(0.4 * score);
    sum += weight;
    for (int64_t i = 0; i < d; ++i) out[i] += weight * at_place(t, values + i);
  }
  for (double& value : out) value /= sum;
  return out;
}

TEST(AttentionSinks, TakeTheirShareOfEachRow) {
  const at::Tensor qkv = at::randn({9, 64}, at::kDouble), sinks = at::randn({4}, at::kDouble);
  const at::Tensor out = attention_with_sinks(qkv, {}, plan_of({0, 9}), shape, sinks);
  for (int64_t row = 0; row < 9; ++row) {
    for (int64_t head = 0; head < 4; ++head) {
      const std::vector<double> expected = plain(qkv, row, head, sinks[head].item<double>());
      for (int64_t i = 0; i < 8; ++i) EXPECT_NEAR(out[row][head * 8 + i].item<double>(), expected[i], 1e-12);
    }
  }
}

TEST(AttentionSinks, KernelAndItsGradientsAreThoseOfThePlainOperations) {
  const auto plan = plan_of({0, 9, 10, 31});
  const at::Tensor qkv = at::randn({31, 64}, at::kDouble), sinks = at::randn({4}, at::kDouble);
  const at::Tensor direction = at::randn({31, 32}, at::kDouble);
  const auto run = [&](at::ScalarType type) {
    const at::Tensor rows = qkv.to(type).clone().requires_grad_(true),
                     own = sinks.to(type).clone().requires_grad_(true);
    const at::Tensor out = attention_with_sinks(rows, {}, plan, shape, own);
    (out * direction.to(type)).sum().backward();
    return std::vector<at::Tensor>{out.detach(), rows.grad(), own.grad()};
  };
  const std::vector<at::Tensor> expected = run(at::kDouble), found = run(at::kFloat);
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_LT(at::max(at::abs(found[i] - expected[i])).item<double>(), 1e-5) << i;
}

}  // namespace
}  // namespace lowrank
