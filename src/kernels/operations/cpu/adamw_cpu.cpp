#include "kernels/operations/cpu/adamw_cpu.h"

#include "kernels/core/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/operations/cpu/adamw_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/core/cpu/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

void step_all(const AdamWTask& op, int64_t begin, int64_t end) {
  const AdamWStep& step = op.step;
  float *p = op.parameters + begin, *m = op.m + begin, *v = op.v + begin;
  const float* gradient = op.gradient + begin;
  for_each_vector(end - begin, [&](auto d, int64_t i) HWY_ATTR {
    const auto g = hn::Mul(load(d, gradient + i), hn::Set(d, step.factor));
    const auto old_m = load(d, m + i);
    const auto new_m = hn::MulAdd(hn::Set(d, step.rest1), hn::Sub(g, old_m), old_m);
    const auto square = hn::Mul(hn::Set(d, step.rest2), hn::Mul(g, g));
    const auto new_v = hn::MulAdd(hn::Set(d, step.beta2), load(d, v + i), square);
    const auto root = hn::MulAdd(hn::Sqrt(new_v), hn::Set(d, step.inverse_root), hn::Set(d, step.epsilon));
    const auto change = hn::Div(new_m, root);
    const auto decayed = hn::Mul(load(d, p + i), hn::Set(d, step.decay));
    store(new_m, d, m + i);
    store(new_v, d, v + i);
    store(hn::NegMulAdd(hn::Set(d, step.rate), change, decayed), d, p + i);
  });
}

/// Squares of f32 are exact in f64, so fused and separate additions give the same result.
double sum_of_squares(const float* values, int64_t count) {
  constexpr int64_t partial_sums = 32;
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> narrow;
  constexpr int64_t lanes = hn::MaxLanes(d);
  constexpr int64_t vectors = partial_sums / lanes;
  hn::Vec<decltype(d)> sums[vectors];
  for (auto& sum : sums) sum = hn::Zero(d);
  int64_t i = 0;
  for (; i + partial_sums <= count; i += partial_sums) {
#pragma GCC unroll 32
    for (int64_t j = 0; j < vectors; ++j) {
      const auto x = hn::PromoteTo(d, hn::LoadU(narrow, values + i + j * lanes));
      sums[j] = hn::MulAdd(x, x, sums[j]);
    }
  }
  HWY_ALIGN double partial[partial_sums];
  for (int64_t j = 0; j < vectors; ++j) hn::StoreU(sums[j], d, partial + j * lanes);
  for (int64_t j = 0; i < count; ++i, ++j) partial[j] += double{values[i]} * values[i];
  double total = 0;
  for (const double sum : partial) total += sum;
  return total;
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(step_all);
HWY_EXPORT(sum_of_squares);

void adamw_step_cpu(const AdamWTask& op, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(step_all)(op, begin, end);
}

double squared_norm_cpu(const float* values, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(sum_of_squares)(values, count);
}

}  // namespace lowrank
#endif
