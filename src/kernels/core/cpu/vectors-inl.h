// Loads and stores of f32 and bf16 as f32 vectors, the exponential function and the sigmoid; included once
// per Highway target.
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

/// Bits whose upper half is v as bf16, rounded to nearest even; NaN stays NaN.
template <class D>
HWY_INLINE hn::Vec<hn::Rebind<uint32_t, D>> bf16_bits(D, hn::Vec<D> v) {
  const hn::Rebind<uint32_t, D> wide;
  const auto bits = hn::BitCast(wide, v);
  const auto even = hn::And(hn::ShiftRight<16>(bits), hn::Set(wide, 1));
  const auto rounded = hn::Add(hn::Add(bits, hn::Set(wide, 0x7FFF)), even);
  const auto quiet = hn::Or(bits, hn::Set(wide, 0x400000));
  return hn::IfThenElse(hn::RebindMask(wide, hn::IsNaN(v)), quiet, rounded);
}

template <class D>
HWY_INLINE void store(hn::Vec<D> v, D d, uint16_t* p) {
  const hn::Rebind<uint16_t, D> narrow;
  hn::StoreU(hn::TruncateTo(narrow, hn::ShiftRight<16>(bf16_bits(d, v))), narrow, p);
}

/// Two vectors of values that are adjacent in memory, in whatever order is fastest: for bf16, every other
/// one.
template <class D>
struct TwoVectors {
  hn::Vec<D> first, second;
};

template <class D>
HWY_INLINE TwoVectors<D> load_two(D d, const float* p) {
  return {hn::LoadU(d, p), hn::LoadU(d, p + hn::Lanes(d))};
}

template <class D>
HWY_INLINE TwoVectors<D> load_two(D d, const uint16_t* p) {
#if HWY_TARGET == HWY_SCALAR
  return {load(d, p), load(d, p + 1)};
#else
  const hn::Rebind<uint32_t, D> wide;
  const hn::Repartition<uint16_t, D> narrow;
  const auto bits = hn::BitCast(wide, hn::LoadU(narrow, p));
  return {hn::BitCast(d, hn::ShiftLeft<16>(bits)), hn::BitCast(d, hn::And(bits, hn::Set(wide, 0xFFFF0000)))};
#endif
}

template <class D>
HWY_INLINE void store_two(TwoVectors<D> v, D d, float* p) {
  hn::StoreU(v.first, d, p);
  hn::StoreU(v.second, d, p + hn::Lanes(d));
}

template <class D>
HWY_INLINE void store_two(TwoVectors<D> v, D d, uint16_t* p) {
#if HWY_TARGET == HWY_SCALAR
  store(v.first, d, p);
  store(v.second, d, p + 1);
#else
  const hn::Rebind<uint32_t, D> wide;
  const hn::Repartition<uint16_t, D> narrow;
  const auto second = hn::And(bf16_bits(d, v.second), hn::Set(wide, 0xFFFF0000));
  hn::StoreU(hn::BitCast(narrow, hn::Or(hn::ShiftRight<16>(bf16_bits(d, v.first)), second)), narrow, p);
#endif
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
  // As a product, so that NaN stays NaN whatever integer it converts to.
  const auto exponent = hn::Add(hn::ConvertTo(i32, whole), hn::Set(i32, 127));
  return hn::Mul(y, hn::BitCast(d, hn::ShiftLeft<23>(exponent)));
}

/// 2^x for x <= 0, 0 below -126, NaN for NaN.
template <class D>
HWY_INLINE hn::Vec<D> exp2_negative(D d, hn::Vec<D> x) {
  const auto whole = hn::Round(x);
  const auto y = exp2_of(d, whole, hn::Sub(x, whole));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -126.0f)), y);
}

/// e^x for x <= 0, 0 below -126 ln 2, NaN for NaN.
template <class D>
HWY_INLINE hn::Vec<D> exp_negative(D d, hn::Vec<D> x) {
  // log2(e) in two parts, so that the rest is as exact as x.
  const auto high = hn::Set(d, 1.44269502f), low = hn::Set(d, 1.92596303e-8f);
  const auto power = hn::Mul(x, high);
  const auto whole = hn::Round(power);
  const auto y = exp2_of(d, whole, hn::MulAdd(x, low, hn::MulSub(x, high, whole)));
  return hn::IfThenZeroElse(hn::Lt(power, hn::Set(d, -126.0f)), y);
}

/// 1 / (1 + e^-x).
template <class D>
HWY_INLINE hn::Vec<D> sigmoid(D d, hn::Vec<D> x) {
  const auto one = hn::Set(d, 1.0F);
  const auto small = exp_negative(d, hn::Neg(hn::Abs(x)));
  return hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), small, one), hn::Add(one, small));
}

/// Calls two(d, i) for values [i, i + 2 lanes) of [0, count), then one(d, i) for what is left, one at a time.
template <class Two, class One>
HWY_INLINE void for_each_two_vectors(int64_t count, Two two, One one) {
  const hn::ScalableTag<float> full;
  const auto values = 2 * static_cast<int64_t>(hn::Lanes(full));
  int64_t i = 0;
  for (; i + values <= count; i += values) two(full, i);
  const hn::CappedTag<float, 1> single;
  for (; i < count; ++i) one(single, i);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
