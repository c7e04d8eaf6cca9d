// Loads and stores of f32 and bf16 as f32 vectors; included once per Highway target.
#if defined(LOWRANK_VECTORS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWRANK_VECTORS_INL_H
#undef LOWRANK_VECTORS_INL_H
#else
#define LOWRANK_VECTORS_INL_H
#endif

#include <cstdint>

// For exp; it includes highway.h for the target at hand.
#include <hwy/contrib/math/math-inl.h>

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

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
