// Values that are capped smoothly, c tanh(x / c); included once per Highway target.
#if defined(LOWRANK_SOFTCAP_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWRANK_SOFTCAP_INL_H
#undef LOWRANK_SOFTCAP_INL_H
#else
#define LOWRANK_SOFTCAP_INL_H
#endif

#include <cstdint>

#include <hwy/highway.h>

#include "kernels/core/cpu/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// tanh(x), relative error below 1e-6; NaN for NaN.
template <class D>
HWY_INLINE hn::Vec<D> tanh_of(D d, hn::Vec<D> x) {
  // Near 0, where the quotient would cancel, the Taylor series.
  const auto square = hn::Mul(x, x);
  auto series = hn::Set(d, 2.18694885e-2f);
  series = hn::MulAdd(series, square, hn::Set(d, -5.39682540e-2f));
  series = hn::MulAdd(series, square, hn::Set(d, 1.33333333e-1f));
  series = hn::MulAdd(series, square, hn::Set(d, -3.33333333e-1f));
  series = hn::MulAdd(series, square, hn::Set(d, 1.0f));
  const auto one = hn::Set(d, 1.0f), size = hn::Abs(x);
  const auto small = exp_negative(d, hn::Mul(hn::Set(d, -2.0f), size));
  const auto quotient = hn::CopySign(hn::Div(hn::Sub(one, small), hn::Add(one, small)), x);
  return hn::IfThenElse(hn::Lt(size, hn::Set(d, 0.3f)), hn::Mul(x, series), quotient);
}

/// to[i] = cap tanh(from[i] / cap) for i in [0, count). `to` may be `from`.
template <class T>
HWY_INLINE void softcap_values(const T* from, float cap, float* to, int64_t count) {
  const float inverse = 1 / cap;
  for_each_vector(count, [&](auto d, int64_t i) HWY_ATTR {
    const auto x = hn::Mul(load(d, from + i), hn::Set(d, inverse));
    store(hn::Mul(tanh_of(d, x), hn::Set(d, cap)), d, to + i);
  });
}

/// The slope of the cap where its value is `capped`: 1 - (capped / cap)^2.
template <class D>
HWY_INLINE hn::Vec<D> softcap_slope(D d, hn::Vec<D> capped, float cap) {
  const auto t = hn::Mul(capped, hn::Set(d, 1 / cap));
  return hn::NegMulAdd(t, t, hn::Set(d, 1.0f));
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
