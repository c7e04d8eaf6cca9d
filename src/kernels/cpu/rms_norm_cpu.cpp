#include "kernels/cpu/rms_norm_cpu.h"

#include <cmath>

#include "kernels/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rms_norm_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

float inverse_root(double sum_of_squares, int64_t columns, float epsilon) {
  return 1 / std::sqrt(static_cast<float>(sum_of_squares / static_cast<double>(columns)) + epsilon);
}

template <typename Branch, typename Normed>
void forward_row(const float* stream, const Branch* branch, const float* weight, float* sum, Normed* normed,
                 int64_t columns, float epsilon) {
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
  for_each_vector(columns, [&](auto d, int64_t i) HWY_ATTR {
    store(hn::Mul(hn::Mul(load(d, x + i), hn::Set(d, inverse)), load(d, weight + i)), d, normed + i);
  });
}

template <typename Normed>
void backward_row(const float* x, const float* weight, const Normed* d_normed, const float* d_sum,
                  float* d_stream, uint16_t* d_branch, int64_t columns, float epsilon) {
  float squares = 0;
  float products = 0;
  const hn::ScalableTag<float> full;
  auto square_lanes = hn::Zero(full);
  auto product_lanes = hn::Zero(full);
  for_each_vector(columns, [&](auto d, int64_t i) HWY_ATTR {
    const auto v = load(d, x + i);
    const auto g = hn::Mul(load(d, d_normed + i), load(d, weight + i));
    if constexpr (std::is_same_v<decltype(d), hn::ScalableTag<float>>) {
      square_lanes = hn::MulAdd(v, v, square_lanes);
      product_lanes = hn::MulAdd(v, g, product_lanes);
    } else {
      squares += hn::GetLane(v) * hn::GetLane(v);
      products += hn::GetLane(v) * hn::GetLane(g);
    }
  });
  squares += hn::GetLane(hn::SumOfLanes(full, square_lanes));
  products += hn::GetLane(hn::SumOfLanes(full, product_lanes));
  const float inverse = inverse_root(squares, columns, epsilon);
  const float pull = products * inverse * inverse * inverse / static_cast<float>(columns);
  for_each_vector(columns, [&](auto d, int64_t i) HWY_ATTR {
    const auto g = hn::Mul(load(d, d_normed + i), load(d, weight + i));
    auto dx = hn::NegMulAdd(load(d, x + i), hn::Set(d, pull), hn::Mul(g, hn::Set(d, inverse)));
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
                static_cast<Normed*>(op.normed) + at, op.columns, op.epsilon);
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

template <typename Normed>
void backward_rows(const RmsNormBackward& op, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const int64_t at = row * op.columns;
    backward_row(op.x + at, op.weight, static_cast<const Normed*>(op.d_normed) + at,
                 op.d_sum ? op.d_sum + at : nullptr, op.d_stream + at,
                 op.d_branch ? op.d_branch + at : nullptr, op.columns, op.epsilon);
  }
}

void backward(const RmsNormBackward& op, int64_t begin, int64_t end) {
  op.normed_bf16 ? backward_rows<uint16_t>(op, begin, end) : backward_rows<float>(op, begin, end);
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
