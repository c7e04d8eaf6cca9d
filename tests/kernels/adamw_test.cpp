// AdamW and the norm of the gradient against their formulas in double, on every Highway target that this
// machine has.
#include "kernels/operations/adamw.h"

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "kernels/core/parallel.h"
#include "kernels/highway_target.h"
#include "kernels/tensor_error.h"

namespace lowrank {
namespace {

class AdamW : public OnTarget<int64_t> {};

struct Moments {
  at::Tensor p, m, v;
};

Moments started(int64_t count) {
  return {at::randn({count}), at::randn({count}) * 0.1, at::rand({count})};
}

Moments copied(const Moments& from) {
  return {from.p.clone(), from.m.clone(), from.v.clone()};
}

/// adamw_step in f64, with plain operations.
void plain_step(Moments& state, const at::Tensor& gradient, const std::vector<AdamWGroup>& groups,
                int64_t step, double factor) {
  const at::Tensor g = gradient.to(at::kDouble) * factor;
  state.m = state.m * 0.9 + g * 0.1;
  state.v = state.v * 0.999 + g * g * 0.001;
  for (const AdamWGroup& group : groups) {
    const auto part = [&](const at::Tensor& t) { return t.narrow(0, group.begin, group.end - group.begin); };
    at::Tensor values = part(state.p);
    values.mul_(1 - group.learning_rate * group.weight_decay);
    const at::Tensor denominator =
        part(state.v).sqrt() / std::sqrt(1 - std::pow(0.999, static_cast<double>(step))) + 1e-8;
    values.sub_(part(state.m) / denominator *
                (group.learning_rate / (1 - std::pow(0.9, static_cast<double>(step)))));
  }
}

TEST_P(AdamW, FollowsTheFormulaInDouble) {
  for (const int64_t count : {2, 3, 7, 16, 17, 33, 40000}) {
    SCOPED_TRACE(count);
    const int64_t cut = count * 3 / 4;
    const std::vector<AdamWGroup> groups{{0, cut, 1e-2, 0.1}, {cut, count, 3e-2, 0}};
    Moments ours{at::randn({count}), at::zeros({count}), at::zeros({count})};
    Moments expected{ours.p.to(at::kDouble), ours.m.to(at::kDouble), ours.v.to(at::kDouble)};
    Moments reference = copied(expected);
    for (int64_t step = 1; step <= 20; ++step) {
      const at::Tensor g = at::randn({count});
      adamw_step(ours.p, g, ours.m, ours.v, groups, {}, step, 0.5);
      plain_step(expected, g, groups, step, 0.5);
      adamw_step_reference(reference.p, g.to(at::kDouble), reference.m, reference.v, groups, {}, step, 0.5);
    }
    EXPECT_LT(relative(ours.p, expected.p), 2e-6);
    EXPECT_LT(relative(ours.m, expected.m), 2e-6);
    EXPECT_LT(relative(ours.v, expected.v), 2e-6);
    EXPECT_LT(relative(reference.p, expected.p), 1e-12);
    EXPECT_LT(relative(reference.m, expected.m), 1e-12);
    EXPECT_LT(relative(reference.v, expected.v), 1e-12);
  }
}

TEST_P(AdamW, DoesNotDependOnCutsAndThreads) {
  constexpr int64_t count = 100003;
  const Moments before = started(count);
  const at::Tensor g = at::randn({count});
  const auto after = [&](std::vector<AdamWGroup> groups, int threads) {
    const int usual = thread_count();
    set_thread_count(threads);
    Moments state = copied(before);
    adamw_step(state.p, g, state.m, state.v, groups, {}, 3, 0.7);
    set_thread_count(usual);
    return state;
  };
  const Moments whole = after({{0, count, 1e-2, 0.1}}, 1);
  for (const auto& [cut, threads] : {std::pair{int64_t{0}, 2}, {1, 1}, {5, 3}, {50001, 2}}) {
    const Moments cut_in_two = after({{0, cut, 1e-2, 0.1}, {cut, count, 1e-2, 0.1}}, threads);
    EXPECT_TRUE(at::equal(cut_in_two.p, whole.p)) << cut;
    EXPECT_TRUE(at::equal(cut_in_two.m, whole.m)) << cut;
    EXPECT_TRUE(at::equal(cut_in_two.v, whole.v)) << cut;
  }
}

TEST_P(AdamW, LeavesValuesOutsideItsGroups) {
  const Moments before = started(50);
  Moments after = copied(before);
  adamw_step(after.p, at::randn({50}), after.m, after.v, std::array{AdamWGroup{3, 40, 1e-2, 0.1}}, {}, 1, 1);
  for (const auto& [ours, old] : {std::pair{after.p, before.p}, {after.m, before.m}, {after.v, before.v}}) {
    EXPECT_TRUE(at::equal(ours.narrow(0, 0, 3), old.narrow(0, 0, 3)));
    EXPECT_TRUE(at::equal(ours.narrow(0, 40, 10), old.narrow(0, 40, 10)));
    EXPECT_EQ((ours.narrow(0, 3, 37) == old.narrow(0, 3, 37)).sum().item<int64_t>(), 0);
  }
}

/// The sum that squared_norm documents, one value at a time.
double plain_norm(const at::Tensor& flat) {
  constexpr int64_t piece = 1 << 14;
  const auto* values = flat.const_data_ptr<float>();
  double total = 0;
  for (int64_t begin = 0; begin < flat.numel(); begin += piece) {
    std::array<double, 32> partial{};
    for (int64_t i = begin; i < std::min(flat.numel(), begin + piece); ++i)
      partial[(i - begin) % 32] += double{values[i]} * values[i];
    double sum = 0;
    for (const double part : partial) sum += part;
    total += sum;
  }
  return total;
}

TEST_P(AdamW, NormIsTheSameOnEveryTargetAndForAnyThreads) {
  const int usual = thread_count();
  for (const int64_t count : {0, 1, 7, 31, 32, 33, 100, 16384, 16385, 100003}) {
    const at::Tensor flat = at::randn({count});
    const double norm = flat.to(at::kDouble).pow(2).sum().item<double>();
    for (const int threads : {1, 2, 3}) {
      set_thread_count(threads);
      EXPECT_EQ(squared_norm(flat), plain_norm(flat)) << count;
    }
    set_thread_count(usual);
    EXPECT_NEAR(squared_norm(flat), norm, 1e-13 * norm) << count;
  }
}

TEST_P(AdamW, NormIsNotFiniteWhereAValueIsNot) {
  for (const int64_t place : {0, 40, 99}) {
    at::Tensor flat = at::randn({100});
    flat[place] = std::numeric_limits<float>::infinity();
    EXPECT_TRUE(std::isinf(squared_norm(flat)));
    flat[place] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(squared_norm(flat)));
  }
}

INSTANTIATE_TEST_SUITE_P(EveryTarget, AdamW, testing::ValuesIn(compiled_targets()),
                         [](const auto& test) { return target_name(test.param); });

}  // namespace
}  // namespace lowrank
