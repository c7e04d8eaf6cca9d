#include "kernels/operations/cpu/rms_norm_cpu.h"

#include <cmath>

#include "kernels/core/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/operations/cpu/rms_norm_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/core/cpu/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

float inverse_root(double sum_of_squares, int64_t columns, float epsilon) {
  return 1 / std::sqrt(static_cast<float>(sum_of_squares / static_cast<double>(columns)) + epsilon);
}

template <typename Branch, typename Normed>
void forward_row(const float* stream, const Branch* branch, const float* weight, float* sum, Normed* normed,
                 float* inverse_of_row, int64_t columns, float epsilon) {
  float squares = 0;
  const hn::ScalableTag<float> full;
  auto lanes = hn::Zero(full);
  const float* x = branch ? sum : stream;
  for_each_vector(columns, [&](auto d, int64_t i) HWY_ATTR {
    auto v = load(d, stream + i);
    if (branch) {
      v = hn::Add(v, load(d, branch + i));
      store(v, d, sum + i);
    }
    if constexpr (std::is_same_v<decltype(d), hn::ScalableTag<float>>) {
      lanes = hn::MulAdd(v, v, lanes);
    } else {
      squares += hn::GetLane(v) * hn::GetLane(v);
    }
  });
  squares += hn::GetLane(hn::SumOfLanes(full, lanes));
  const float inverse = inverse_root(squares, columns, epsilon);
  *inverse_of_row = inverse;
  for_each_vector(columns, [&](auto d, int64_t i) HWY_ATTR {
    store(hn::Mul(hn::Mul(load(d, x + i), hn::Set(d, inverse)), load(d, weight + i)), d, normed + i);
  });
}

template <typename Normed>
void backward_row(const RmsNormBackward& op, int64_t row) {
  const int64_t at = row * op.columns;
  const auto* normed = static_cast<const Normed*>(op.normed) + at;
  const auto* d_normed = static_cast<const Normed*>(op.d_normed) + at;
  const float* d_sum = op.d_sum ? op.d_sum + at : nullptr;
  float* d_stream = op.d_stream + at;
  uint16_t* d_branch = op.d_branch ? op.d_branch + at : nullptr;
  float products = 0;
  const hn::ScalableTag<float> full;
  auto lanes = hn::Zero(full);
  for_each_vector(op.columns, [&](auto d, int64_t i) HWY_ATTR {
    const auto n = load(d, normed + i), g = load(d, d_normed + i);
    if constexpr (std::is_same_v<decltype(d), hn::ScalableTag<float>>) {
      lanes = hn::MulAdd(n, g, lanes);
    } else {
      products += hn::GetLane(n) * hn::GetLane(g);
    }
  });
  products += hn::GetLane(hn::SumOfLanes(full, lanes));
  const float inverse = op.inverse[row];
  const float pull = products * inverse / static_cast<float>(op.columns);
  for_each_vector(op.columns, [&](auto d, int64_t i) HWY_ATTR {
    const auto n = hn::Mul(load(d, normed + i), load(d, op.reciprocal + i));
    const auto g = hn::Mul(load(d, d_normed + i), load(d, op.weight + i));
    auto dx = hn::NegMulAdd(n, hn::Set(d, pull), hn::Mul(g, hn::Set(d, inverse)));
    if (d_sum) dx = hn::Add(dx, load(d, d_sum + i));
    store(dx, d, d_stream + i);
    if (d_branch) store(dx, d, d_branch + i);
  });
}

template <typename Branch, typename Normed>
void forward_rows(const RmsNormForward& op, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const int64_t at = row * op.columns;
    const auto* branch = static_cast<const Branch*>(op.branch);
    forward_row(op.stream + at, branch ? branch + at : nullptr, op.weight, op.sum ? op.sum + at : nullptr,
                static_cast<Normed*>(op.normed) + at, op.inverse + row, op.columns, op.epsilon);
  }
}

void forward(const RmsNormForward& op, int64_t begin, int64_t end) {
  if (op.branch_bf16) {
    op.normed_bf16 ? forward_rows<uint16_t, uint16_t>(op, begin, end)
                   : forward_rows<uint16_t, float>(op, begin, end);
  } else {
    op.normed_bf16 ? forward_rows<float, uint16_t>(op, begin, end)
                   : forward_rows<float, float>(op, begin, end);
  }
}

void backward(const RmsNormBackward& op, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row)
    op.normed_bf16 ? backward_row<uint16_t>(op, row) : backward_row<float>(op, row);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(forward);
HWY_EXPORT(backward);

void rms_norm_forward_cpu(const RmsNormForward& op, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(forward)(op, begin, end);
}

void rms_norm_backward_cpu(const RmsNormBackward& op, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(backward)(op, begin, end);
}

}  // namespace lowrank
#endif
