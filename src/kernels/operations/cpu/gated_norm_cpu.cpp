#include "kernels/operations/cpu/gated_norm_cpu.h"

#include <cmath>
#include <type_traits>
#include <vector>

#include "kernels/core/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/operations/cpu/gated_norm_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/core/cpu/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// The sum over i in [0, count) of term(d, i).
template <class Term>
HWY_INLINE float sum_of(int64_t count, Term term) {
  const hn::ScalableTag<float> full;
  auto lanes = hn::Zero(full);
  float sum = 0;
  for_each_vector(count, [&](auto d, int64_t i) HWY_ATTR {
    if constexpr (std::is_same_v<decltype(d), hn::ScalableTag<float>>) {
      lanes = hn::Add(lanes, term(d, i));
    } else {
      sum += hn::GetLane(term(d, i));
    }
  });
  return sum + hn::GetLane(hn::SumOfLanes(full, lanes));
}

template <typename T>
HWY_INLINE float inverse_root(const T* x, int64_t count, float epsilon) {
  const float squares = sum_of(count, [&](auto d, int64_t i) HWY_ATTR {
    const auto v = load(d, x + i);
    return hn::Mul(v, v);
  });
  return 1 / std::sqrt(squares / static_cast<float>(count) + epsilon);
}

template <typename T>
void forward_rows(const GatedNorm& op, T* out, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t at = 0; at < op.columns; at += op.head_dim) {
      const T* x = static_cast<const T*>(op.x) + row * op.columns + at;
      const T* gate = static_cast<const T*>(op.gate) + row * op.gate_stride + at;
      T* to = out + row * op.columns + at;
      const float inverse = inverse_root(x, op.head_dim, op.epsilon);
      for_each_vector(op.head_dim, [&](auto d, int64_t i) HWY_ATTR {
        const auto normed = hn::Mul(hn::Mul(load(d, x + i), hn::Set(d, inverse)), load(d, op.weight + i));
        const auto g = load(d, gate + i);
        store(hn::Mul(normed, hn::Mul(g, sigmoid(d, g))), d, to + i);
      });
    }
  }
}

/// One head of one row; `pulled` takes the gradient of x / sqrt(mean).
template <typename T>
void backward_head(const GatedNorm& op, const T* x, const T* gate, const T* dy, T* d_x, T* d_gate,
                   float* pulled) {
  const float inverse = inverse_root(x, op.head_dim, op.epsilon);
  const float along = sum_of(op.head_dim, [&](auto d, int64_t i) HWY_ATTR {
    const auto v = load(d, x + i), g = load(d, gate + i),
               weighted = hn::Mul(load(d, dy + i), load(d, op.weight + i));
    const auto s = sigmoid(d, g), open = hn::Mul(g, s);
    const auto slope = hn::MulAdd(open, hn::Sub(hn::Set(d, 1.0F), s), s);  // s + g s (1 - s)
    store(hn::Mul(hn::Mul(weighted, slope), hn::Mul(v, hn::Set(d, inverse))), d, d_gate + i);
    const auto pull = hn::Mul(weighted, open);
    store(pull, d, pulled + i);
    return hn::Mul(pull, v);
  });
  const float back = along * inverse * inverse * inverse / static_cast<float>(op.head_dim);
  for_each_vector(op.head_dim, [&](auto d, int64_t i) HWY_ATTR {
    const auto pull = hn::Mul(load(d, pulled + i), hn::Set(d, inverse));
    store(hn::NegMulAdd(load(d, x + i), hn::Set(d, back), pull), d, d_x + i);
  });
}

template <typename T>
void backward_rows(const GatedNorm& op, const T* d_out, T* d_x, T* d_gate, int64_t begin, int64_t end) {
  std::vector<float> pulled(op.head_dim);
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t column = 0; column < op.columns; column += op.head_dim) {
      const int64_t at = row * op.columns + column;
      backward_head(op, static_cast<const T*>(op.x) + at,
                    static_cast<const T*>(op.gate) + row * op.gate_stride + column, d_out + at, d_x + at,
                    d_gate + at, pulled.data());
    }
  }
}

void forward(const GatedNorm& op, void* out, int64_t begin, int64_t end) {
  op.bf16 ? forward_rows(op, static_cast<uint16_t*>(out), begin, end)
          : forward_rows(op, static_cast<float*>(out), begin, end);
}

void backward(const GatedNorm& op, const void* d_out, void* d_x, void* d_gate, int64_t begin, int64_t end) {
  op.bf16 ? backward_rows(op, static_cast<const uint16_t*>(d_out), static_cast<uint16_t*>(d_x),
                          static_cast<uint16_t*>(d_gate), begin, end)
          : backward_rows(op, static_cast<const float*>(d_out), static_cast<float*>(d_x),
                          static_cast<float*>(d_gate), begin, end);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(forward);
HWY_EXPORT(backward);

void gated_norm_forward_cpu(const GatedNorm& op, void* out, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(forward)(op, out, begin, end);
}

void gated_norm_backward_cpu(const GatedNorm& op, const void* d_out, void* d_x, void* d_gate, int64_t begin,
                             int64_t end) {
  HWY_DYNAMIC_DISPATCH(backward)(op, d_out, d_x, d_gate, begin, end);
}

}  // namespace lowrank
#endif
