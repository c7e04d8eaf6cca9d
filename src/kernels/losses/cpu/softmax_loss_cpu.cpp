#include "kernels/losses/cpu/softmax_loss_cpu.h"

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/core/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/losses/cpu/softmax_loss_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/core/cpu/softcap-inl.h"
#include "kernels/core/cpu/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

template <typename T>
float value_at(const T* row, int64_t i) {
  const hn::CappedTag<float, 1> single;
  return hn::GetLane(load(single, row + i));
}

template <typename T>
float largest(const T* row, int64_t width) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto most = hn::Set(d, -std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + lanes <= width; i += lanes) most = hn::Max(most, load(d, row + i));
  float result = hn::GetLane(hn::MaxOfLanes(d, most));
  for (; i < width; ++i) result = std::max(result, value_at(row, i));
  return result;
}

/// exps[i] = exp(row[i] - shift); returns their sum.
template <typename T>
float exponentials(const T* row, float shift, float* exps, int64_t width) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto sum = hn::Zero(d);
  const auto by = hn::Set(d, shift);
  int64_t i = 0;
  for (; i + lanes <= width; i += lanes) {
    const auto e = exp_negative(d, hn::Sub(load(d, row + i), by));
    hn::StoreU(e, d, exps + i);
    sum = hn::Add(sum, e);
  }
  float total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; i < width; ++i) total += exps[i] = std::exp(value_at(row, i) - shift);
  return total;
}

template <typename T>
float mean(const T* row, int64_t width) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto sum = hn::Zero(d);
  int64_t i = 0;
  for (; i + lanes <= width; i += lanes) sum = hn::Add(sum, load(d, row + i));
  float total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; i < width; ++i) total += value_at(row, i);
  return total / static_cast<float>(width);
}

template <typename T>
void rows(T* logits, const int64_t* targets, float* nll, int64_t width, bool slopes, float smoothing,
          int64_t begin, int64_t end) {
  std::vector<float> exps(width);
  const float even = smoothing / static_cast<float>(width);
  for (int64_t n = begin; n < end; ++n) {
    T* row = logits + n * width;
    const int64_t target = targets[n];
    const float most = largest(row, width);
    const float sum = exponentials(row, most, exps.data(), width);
    float expected = value_at(row, target);
    if (smoothing > 0) expected += smoothing * (mean(row, width) - expected);
    nll[n] = most + std::log(sum) - expected;
    if (!slopes) continue;
    const float factor = 1 / sum;
    for_each_vector(width, [&](auto d, int64_t i) HWY_ATTR {
      const auto probability = hn::Mul(hn::LoadU(d, exps.data() + i), hn::Set(d, factor));
      store(hn::Sub(probability, hn::Set(d, even)), d, row + i);
    });
    const hn::CappedTag<float, 1> single;
    store(hn::Set(single, exps[target] * factor - even - (1 - smoothing)), single, row + target);
  }
}

/// The same for logits that are capped.
template <typename T>
void capped_rows(T* logits, const int64_t* targets, float* nll, int64_t width, bool slopes,
                 SoftmaxLossForm form, int64_t begin, int64_t end) {
  std::vector<float> capped(width), slope(width);
  for (int64_t n = begin; n < end; ++n) {
    softcap_values(logits + n * width, form.cap, capped.data(), width);
    if (slopes) {
      for_each_vector(width, [&](auto d, int64_t i) HWY_ATTR {
        hn::StoreU(softcap_slope(d, hn::LoadU(d, capped.data() + i), form.cap), d, slope.data() + i);
      });
    }
    rows(capped.data(), targets + n, nll + n, width, slopes, form.smoothing, 0, 1);
    if (!slopes) continue;
    for_each_vector(width, [&](auto d, int64_t i) HWY_ATTR {
      const auto product = hn::Mul(hn::LoadU(d, capped.data() + i), hn::LoadU(d, slope.data() + i));
      store(product, d, logits + n * width + i);
    });
  }
}

void softmax_loss(const SoftmaxLoss& op, int64_t begin, int64_t end) {
  const auto run = [&](auto* values) {
    op.form.cap > 0 ? capped_rows(values, op.targets, op.nll, op.width, op.slopes, op.form, begin, end)
                    : rows(values, op.targets, op.nll, op.width, op.slopes, op.form.smoothing, begin, end);
  };
  op.bf16 ? run(static_cast<uint16_t*>(op.logits)) : run(static_cast<float*>(op.logits));
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(softmax_loss);

void softmax_loss_cpu(const SoftmaxLoss& op, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(softmax_loss)(op, begin, end);
}

}  // namespace lowrank
#endif
