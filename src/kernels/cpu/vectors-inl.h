// Loads and stores of f32 and bf16 as f32 vectors, and the exponential function; included once per Highway
// target.
#if defined(LOWRANK_VECTORS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWRANK_VECTORS_INL_H
#undef LOWRANK_VECTORS_INL_H
#else
#define LOWRANK_VECTORS_INL_H
#endif

#include <cstdint>

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_INLINE hn::Vec<D> load(D d, const float* p) {
  return hn::LoadU(d, p);
}

template <class D>
HWY_INLINE hn::Vec<D> load(D d, const uint16_t* p) {
  const hn::Rebind<uint32_t, D> wide;
  const hn::Rebind<uint16_t, D> narrow;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(wide, hn::LoadU(narrow, p))));
}

template <class D>
HWY_INLINE void store(hn::Vec<D> v, D d, float* p) {
  hn::StoreU(v, d, p);
}

/// bf16, rounded to nearest even; NaN stays NaN.
template <class D>
HWY_INLINE void store(hn::Vec<D> v, D, uint16_t* p) {
  const hn::Rebind<uint32_t, D> wide;
  const hn::Rebind<uint16_t, D> narrow;
  const auto bits = hn::BitCast(wide, v);
  const auto high = hn::ShiftRight<16>(bits);
  const auto even = hn::And(high, hn::Set(wide, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(wide, 0x7FFF)), even));
  const auto quiet = hn::Or(high, hn::Set(wide, 0x40));
  hn::StoreU(hn::TruncateTo(narrow, hn::IfThenElse(hn::RebindMask(wide, hn::IsNaN(v)), quiet, rounded)),
             narrow, p);
}

/// Calls step(d, i) for all i in [0, count): whole vectors first, then one value at a time.
template <class Step>
HWY_INLINE void for_each_vector(int64_t count, Step step) {
  const hn::ScalableTag<float> full;
  const auto lanes = static_cast<int64_t>(hn::Lanes(full));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) step(full, i);
  const hn::CappedTag<float, 1> single;
  for (; i < count; ++i) step(single, i);
}

/// 2^(whole + rest) for an integer `whole` in [-126, 0] and |rest| <= 1/2: a polynomial of the rest, relative
/// error below 2e-7.
template <class D>
HWY_INLINE hn::Vec<D> exp2_of(D d, hn::Vec<D> whole, hn::Vec<D> rest) {
  const hn::RebindToSigned<D> i32;
  auto y = hn::Set(d, 1.54614475e-4f);
  y = hn::MulAdd(y, rest, hn::Set(d, 1.33908674e-3f));
  y = hn::MulAdd(y, rest, hn::Set(d, 9.61805667e-3f));
  y = hn::MulAdd(y, rest, hn::Set(d, 5.5503571e-2f));
  y = hn::MulAdd(y, rest, hn::Set(d, 2.40226509e-1f));
  y = hn::MulAdd(y, rest, hn::Set(d, 6.93147188e-1f));
  y = hn::MulAdd(y, rest, hn::Set(d, 1.0f));
  return hn::BitCast(d, hn::Add(hn::BitCast(i32, y), hn::ShiftLeft<23>(hn::ConvertTo(i32, whole))));
}

/// 2^x for x <= 0, 0 below -126, NaN of NaN.
template <class D>
HWY_INLINE hn::Vec<D> exp2_negative(D d, hn::Vec<D> x) {
  const auto whole = hn::Round(x);
  const auto y = exp2_of(d, whole, hn::Sub(x, whole));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -126.0f)), y);
}

/// e^x for x <= 0, 0 below -126 ln 2, NaN of NaN.
template <class D>
HWY_INLINE hn::Vec<D> exp_negative(D d, hn::Vec<D> x) {
  // log2(e) in two parts, so that the rest is as exact as x.
  const auto high = hn::Set(d, 1.44269502f), low = hn::Set(d, 1.92596303e-8f);
  const auto power = hn::Mul(x, high);
  const auto whole = hn::Round(power);
  const auto y = exp2_of(d, whole, hn::MulAdd(x, low, hn::MulSub(x, high, whole)));
  return hn::IfThenZeroElse(hn::Lt(power, hn::Set(d, -126.0f)), y);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
