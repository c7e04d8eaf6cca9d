#include "kernels/cpu/swiglu_cpu.h"

#include "kernels/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/swiglu_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

template <class D>
HWY_INLINE hn::Vec<D> sigmoid(D d, hn::Vec<D> x) {
  const auto one = hn::Set(d, 1.0F);
  return hn::Div(one, hn::Add(one, hn::Exp(d, hn::Neg(x))));
}

template <typename T>
void forward_rows(const T* gate_up, T* out, int64_t width, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const T* gate = gate_up + row * 2 * width;
    const T* up = gate + width;
    T* to = out + row * width;
    for_each_vector(width, [&](auto d, int64_t i) HWY_ATTR {
      const auto g = load(d, gate + i);
      store(hn::Mul(hn::Mul(g, sigmoid(d, g)), load(d, up + i)), d, to + i);
    });
  }
}

template <typename T>
void backward_rows(const T* gate_up, const T* d_out, T* d_gate_up, int64_t width, int64_t begin,
                   int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const T* gate = gate_up + row * 2 * width;
    const T* up = gate + width;
    const T* dy = d_out + row * width;
    T* d_gate = d_gate_up + row * 2 * width;
    T* d_up = d_gate + width;
    for_each_vector(width, [&](auto d, int64_t i) HWY_ATTR {
      const auto g = load(d, gate + i);
      const auto dout = load(d, dy + i);
      const auto s = sigmoid(d, g);
      const auto silu = hn::Mul(g, s);
      // s + g s (1 - s)
      const auto slope = hn::Add(s, hn::Mul(silu, hn::Sub(hn::Set(d, 1.0F), s)));
      store(hn::Mul(hn::Mul(dout, load(d, up + i)), slope), d, d_gate + i);
      store(hn::Mul(dout, silu), d, d_up + i);
    });
  }
}

void forward(const void* gate_up, void* out, int64_t width, bool bf16, int64_t begin, int64_t end) {
  if (bf16) {
    forward_rows(static_cast<const uint16_t*>(gate_up), static_cast<uint16_t*>(out), width, begin, end);
  } else {
    forward_rows(static_cast<const float*>(gate_up), static_cast<float*>(out), width, begin, end);
  }
}

void backward(const void* gate_up, const void* d_out, void* d_gate_up, int64_t width, bool bf16,
              int64_t begin, int64_t end) {
  if (bf16) {
    backward_rows(static_cast<const uint16_t*>(gate_up), static_cast<const uint16_t*>(d_out),
                  static_cast<uint16_t*>(d_gate_up), width, begin, end);
  } else {
    backward_rows(static_cast<const float*>(gate_up), static_cast<const float*>(d_out),
                  static_cast<float*>(d_gate_up), width, begin, end);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(forward);
HWY_EXPORT(backward);

void swiglu_forward_cpu(const void* gate_up, void* out, int64_t width, bool bf16, int64_t begin,
                        int64_t end) {
  HWY_DYNAMIC_DISPATCH(forward)(gate_up, out, width, bf16, begin, end);
}

void swiglu_backward_cpu(const void* gate_up, const void* d_out, void* d_gate_up, int64_t width, bool bf16,
                         int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(backward)(gate_up, d_out, d_gate_up, width, bf16, begin, end);
}

}  // namespace lowrank
#endif
