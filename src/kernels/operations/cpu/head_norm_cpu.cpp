#include "kernels/operations/cpu/head_norm_cpu.h"

#include <cmath>
#include <cstring>

#include "kernels/core/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/operations/cpu/head_norm_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/core/cpu/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// Sums of x^2 and of x g over a head; g = dy weight, or 0 without dy.
template <typename T>
struct Sums {
  float squares = 0, products = 0;

  Sums(const T* x, const T* dy, const float* weight, int64_t count) {
    const hn::ScalableTag<float> full;
    auto square_lanes = hn::Zero(full);
    auto product_lanes = hn::Zero(full);
    for_each_vector(count, [&](auto d, int64_t i) HWY_ATTR {
      const auto v = load(d, x + i);
      const auto g = dy ? hn::Mul(load(d, dy + i), load(d, weight + i)) : hn::Zero(d);
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
  }
};

template <typename T>
void forward_head(const T* x, const float* weight, T* out, int64_t count, float epsilon) {
  const Sums<T> sums(x, nullptr, weight, count);
  const float inverse = 1 / std::sqrt(sums.squares / static_cast<float>(count) + epsilon);
  for_each_vector(count, [&](auto d, int64_t i) HWY_ATTR {
    store(hn::Mul(hn::Mul(load(d, x + i), hn::Set(d, inverse)), load(d, weight + i)), d, out + i);
  });
}

template <typename T>
void backward_head(const T* x, const T* dy, const float* weight, T* dx, int64_t count, float epsilon) {
  const Sums<T> sums(x, dy, weight, count);
  const float inverse = 1 / std::sqrt(sums.squares / static_cast<float>(count) + epsilon);
  const float pull = sums.products * inverse * inverse * inverse / static_cast<float>(count);
  for_each_vector(count, [&](auto d, int64_t i) HWY_ATTR {
    const auto g = hn::Mul(load(d, dy + i), load(d, weight + i));
    store(hn::NegMulAdd(load(d, x + i), hn::Set(d, pull), hn::Mul(g, hn::Set(d, inverse))), d, dx + i);
  });
}

/// Calls head(offset, weight) for the query and key heads of a row and copies the rest.
template <typename T, class Step>
void each_head(const HeadNorm& op, const T* rest, T* out, Step step) {
  const int64_t normed = op.heads + op.kv_heads;
  for (int64_t head = 0; head < normed; ++head) {
    step(head * op.head_dim, head < op.heads ? op.query_weight : op.key_weight);
  }
  const int64_t done = normed * op.head_dim;
  std::memcpy(out + done, rest + done, (op.columns - done) * sizeof(T));
}

template <typename T>
void forward_rows(const HeadNorm& op, T* out, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const T* x = static_cast<const T*>(op.qkv) + row * op.columns;
    T* to = out + row * op.columns;
    each_head(op, x, to, [&](int64_t at, const float* weight) {
      forward_head(x + at, weight, to + at, op.head_dim, op.epsilon);
    });
  }
}

template <typename T>
void backward_rows(const HeadNorm& op, const T* d_out, T* d_qkv, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const T* x = static_cast<const T*>(op.qkv) + row * op.columns;
    const T* dy = d_out + row * op.columns;
    T* dx = d_qkv + row * op.columns;
    each_head(op, dy, dx, [&](int64_t at, const float* weight) {
      backward_head(x + at, dy + at, weight, dx + at, op.head_dim, op.epsilon);
    });
  }
}

void forward(const HeadNormForward& op, int64_t begin, int64_t end) {
  op.norm.bf16 ? forward_rows(op.norm, static_cast<uint16_t*>(op.out), begin, end)
               : forward_rows(op.norm, static_cast<float*>(op.out), begin, end);
}

void backward(const HeadNormBackward& op, int64_t begin, int64_t end) {
  op.norm.bf16 ? backward_rows(op.norm, static_cast<const uint16_t*>(op.d_out),
                               static_cast<uint16_t*>(op.d_qkv), begin, end)
               : backward_rows(op.norm, static_cast<const float*>(op.d_out), static_cast<float*>(op.d_qkv),
                               begin, end);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(forward);
HWY_EXPORT(backward);

void head_norm_forward_cpu(const HeadNormForward& op, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(forward)(op, begin, end);
}

void head_norm_backward_cpu(const HeadNormBackward& op, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(backward)(op, begin, end);
}

}  // namespace lowrank
#endif
