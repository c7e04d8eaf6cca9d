#include "kernels/operations/cpu/rope_cpu.h"

#include <cstring>

#include "kernels/core/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/operations/cpu/rope_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/core/cpu/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

template <typename T>
void rotate_head(const T* in, T* out, const float* cos, const float* sin, int64_t half, float sign) {
  for_each_vector(half, [&](auto d, int64_t i) HWY_ATTR {
    const auto a = load(d, in + i);
    const auto b = load(d, in + half + i);
    const auto c = load(d, cos + i);
    const auto s = hn::Mul(load(d, sin + i), hn::Set(d, sign));
    store(hn::NegMulAdd(b, s, hn::Mul(a, c)), d, out + i);
    store(hn::MulAdd(a, s, hn::Mul(b, c)), d, out + half + i);
  });
}

template <typename T>
void rotate_neighbours(const T* in, T* out, const float* cos, const float* sin, int64_t half, float sign) {
  const hn::CappedTag<float, 1> d;
  for (int64_t i = 0; i < half; ++i) {
    const auto a = load(d, in + 2 * i), b = load(d, in + 2 * i + 1);
    const auto c = load(d, cos + i), s = hn::Set(d, sin[i] * sign);
    store(hn::NegMulAdd(b, s, hn::Mul(a, c)), d, out + 2 * i);
    store(hn::MulAdd(a, s, hn::Mul(b, c)), d, out + 2 * i + 1);
  }
}

template <typename T>
void rotate_rows(const Rotation& op, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const T* in = static_cast<const T*>(op.in) + row * op.columns;
    T* out = static_cast<T*>(op.out) + row * op.columns;
    for (int64_t head = 0; head < op.rotated; ++head) {
      const int64_t at = head * op.head_dim;
      const float *cos = op.cos + row * op.half, *sin = op.sin + row * op.half;
      op.adjacent ? rotate_neighbours(in + at, out + at, cos, sin, op.half, op.sign)
                  : rotate_head(in + at, out + at, cos, sin, op.half, op.sign);
      std::memcpy(out + at + 2 * op.half, in + at + 2 * op.half, (op.head_dim - 2 * op.half) * sizeof(T));
    }
    const int64_t done = op.rotated * op.head_dim;
    std::memcpy(out + done, in + done, (op.columns - done) * sizeof(T));
  }
}

void rotate(const Rotation& op, int64_t begin, int64_t end) {
  op.bf16 ? rotate_rows<uint16_t>(op, begin, end) : rotate_rows<float>(op, begin, end);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(rotate);

void rotate_cpu(const Rotation& op, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(rotate)(op, begin, end);
}

}  // namespace lowrank
#endif
