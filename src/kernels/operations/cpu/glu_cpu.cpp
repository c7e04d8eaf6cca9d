#include "kernels/operations/cpu/glu_cpu.h"

#include "kernels/core/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/operations/cpu/glu_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/core/cpu/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// gate(g) and gate'(g).
template <class D>
struct GateValue {
  hn::Vec<D> value, slope;
};

struct Silu {
  template <class D>
  static HWY_INLINE GateValue<D> of(D d, hn::Vec<D> g) {
    const auto s = sigmoid(d, g);
    const auto value = hn::Mul(g, s);
    // s + g s (1 - s)
    return {value, hn::Add(s, hn::Mul(value, hn::Sub(hn::Set(d, 1.0F), s)))};
  }
};

struct GeluTanh {
  template <class D>
  static HWY_INLINE GateValue<D> of(D d, hn::Vec<D> g) {
    constexpr float twice_root = 1.5957691216057308F;  // 2 sqrt(2 / pi)
    constexpr float cubic = 0.044715F;
    const auto square = hn::Mul(g, g);
    const auto inner = hn::Mul(g, hn::MulAdd(hn::Set(d, cubic), square, hn::Set(d, 1.0F)));
    // (1 + tanh(x)) / 2 is the sigmoid of 2x.
    const auto s = sigmoid(d, hn::Mul(hn::Set(d, twice_root), inner));
    const auto d_inner =
        hn::Mul(hn::Set(d, twice_root), hn::MulAdd(hn::Set(d, 3 * cubic), square, hn::Set(d, 1.0F)));
    const auto value = hn::Mul(g, s);
    return {value, hn::MulAdd(hn::Mul(value, hn::Sub(hn::Set(d, 1.0F), s)), d_inner, s)};
  }
};

struct Gelu {
  /// exp(z^2) erfc(z) for z >= 0, as a polynomial in 1 / (1 + 0.3 z); relative error below 2e-7.
  template <class D>
  static HWY_INLINE hn::Vec<D> scaled_erfc(D d, hn::Vec<D> z) {
    const auto one = hn::Set(d, 1.0F);
    const auto t = hn::Div(one, hn::MulAdd(hn::Set(d, 0.3F), z, one));
    auto y = hn::Set(d, -0.129525025F);
    y = hn::MulAdd(y, t, hn::Set(d, 0.485573887F));
    y = hn::MulAdd(y, t, hn::Set(d, -0.51230102F));
    y = hn::MulAdd(y, t, hn::Set(d, 0.547747419F));
    y = hn::MulAdd(y, t, hn::Set(d, -0.0946705822F));
    y = hn::MulAdd(y, t, hn::Set(d, 0.214934987F));
    y = hn::MulAdd(y, t, hn::Set(d, 0.148336743F));
    y = hn::MulAdd(y, t, hn::Set(d, 0.170715591F));
    y = hn::MulAdd(y, t, hn::Set(d, 0.169187982F));
    return hn::Mul(y, t);
  }

  template <class D>
  static HWY_INLINE GateValue<D> of(D d, hn::Vec<D> g) {
    constexpr float root_half = 0.70710678F, inverse_root = 0.39894228F;  // sqrt(1 / 2), 1 / sqrt(2 pi)
    const auto half = hn::Set(d, 0.5F);
    const auto bell = exp_negative(d, hn::Neg(hn::Mul(half, hn::Mul(g, g))));
    const auto tail =
        hn::Mul(hn::Mul(half, bell), scaled_erfc(d, hn::Mul(hn::Abs(g), hn::Set(d, root_half))));
    const auto below = hn::IfThenElse(hn::Lt(g, hn::Zero(d)), tail, hn::Sub(hn::Set(d, 1.0F), tail));
    return {hn::Mul(g, below), hn::MulAdd(hn::Mul(g, hn::Set(d, inverse_root)), bell, below)};
  }
};

template <class Function, class D>
HWY_INLINE hn::Vec<D> gated(D d, hn::Vec<D> gate, hn::Vec<D> up) {
  return hn::Mul(Function::of(d, gate).value, up);
}

template <class Function, typename T>
void forward_rows(const T* gate_up, T* out, int64_t width, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const T* gate = gate_up + row * 2 * width;
    const T* up = gate + width;
    T* to = out + row * width;
    for_each_two_vectors(
        width,
        [&](auto d, int64_t i) HWY_ATTR {
          const auto g = load_two(d, gate + i), u = load_two(d, up + i);
          store_two({gated<Function>(d, g.first, u.first), gated<Function>(d, g.second, u.second)}, d,
                    to + i);
        },
        [&](auto d, int64_t i)
            HWY_ATTR { store(gated<Function>(d, load(d, gate + i), load(d, up + i)), d, to + i); });
  }
}

/// Gradients of gate and up.
template <class D>
struct GateGradient {
  hn::Vec<D> gate, up;
};

template <class Function, class D>
HWY_INLINE GateGradient<D> gradient(D d, hn::Vec<D> gate, hn::Vec<D> up, hn::Vec<D> dout) {
  const auto [value, slope] = Function::of(d, gate);
  return {hn::Mul(hn::Mul(dout, up), slope), hn::Mul(dout, value)};
}

template <class Function, typename T>
void backward_rows(const T* gate_up, const T* d_out, T* d_gate_up, int64_t width, int64_t begin,
                   int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const T* gate = gate_up + row * 2 * width;
    const T* up = gate + width;
    const T* dy = d_out + row * width;
    T* d_gate = d_gate_up + row * 2 * width;
    T* d_up = d_gate + width;
    for_each_two_vectors(
        width,
        [&](auto d, int64_t i) HWY_ATTR {
          const auto g = load_two(d, gate + i), u = load_two(d, up + i), dout = load_two(d, dy + i);
          const auto first = gradient<Function>(d, g.first, u.first, dout.first);
          const auto second = gradient<Function>(d, g.second, u.second, dout.second);
          store_two({first.gate, second.gate}, d, d_gate + i);
          store_two({first.up, second.up}, d, d_up + i);
        },
        [&](auto d, int64_t i) HWY_ATTR {
          const auto both = gradient<Function>(d, load(d, gate + i), load(d, up + i), load(d, dy + i));
          store(both.gate, d, d_gate + i);
          store(both.up, d, d_up + i);
        });
  }
}

template <typename T>
void forward_of(const GluForward& op, int64_t begin, int64_t end) {
  const auto run = op.gate == Gate::silu   ? forward_rows<Silu, T>
                   : op.gate == Gate::gelu ? forward_rows<Gelu, T>
                                           : forward_rows<GeluTanh, T>;
  run(static_cast<const T*>(op.gate_up), static_cast<T*>(op.out), op.width, begin, end);
}

template <typename T>
void backward_of(const GluBackward& op, int64_t begin, int64_t end) {
  const auto run = op.gate == Gate::silu   ? backward_rows<Silu, T>
                   : op.gate == Gate::gelu ? backward_rows<Gelu, T>
                                           : backward_rows<GeluTanh, T>;
  run(static_cast<const T*>(op.gate_up), static_cast<const T*>(op.d_out), static_cast<T*>(op.d_gate_up),
      op.width, begin, end);
}

void forward(const GluForward& op, int64_t begin, int64_t end) {
  op.bf16 ? forward_of<uint16_t>(op, begin, end) : forward_of<float>(op, begin, end);
}

void backward(const GluBackward& op, int64_t begin, int64_t end) {
  op.bf16 ? backward_of<uint16_t>(op, begin, end) : backward_of<float>(op, begin, end);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(forward);
HWY_EXPORT(backward);

void glu_forward_cpu(const GluForward& op, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(forward)(op, begin, end);
}

void glu_backward_cpu(const GluBackward& op, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(backward)(op, begin, end);
}

}  // namespace lowrank
#endif
