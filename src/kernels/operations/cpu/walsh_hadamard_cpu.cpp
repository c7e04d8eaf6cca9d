#include "kernels/operations/cpu/walsh_hadamard_cpu.h"

#include <algorithm>

#include "kernels/core/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/operations/cpu/walsh_hadamard_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/core/cpu/vectors-inl.h"

// Several stages at a time run on values in registers. Each value is still the sum or difference of the same
// two values in the same order, so the results are bit for bit those of one stage after the other.
HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

using F32 = hn::ScalableTag<float>;
constexpr int64_t lanes = hn::MaxLanes(F32());
/// Rows whose vectors all stay in registers.
constexpr int64_t most_rows = (HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON) ? 16 : 8;

/// The stages between R vectors.
template <int R>
HWY_INLINE void butterflies(hn::Vec<F32> (&v)[R]) {
#pragma GCC unroll 4
  for (int half = 1; half < R; half *= 2) {
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      if (i & half) continue;
      const auto a = v[i], b = v[i + half];
      v[i] = hn::Add(a, b);
      v[i + half] = hn::Sub(a, b);
    }
  }
}

#if HWY_TARGET != HWY_SCALAR

/// Lane i has what was in lane i ^ half.
template <int half>
HWY_INLINE hn::Vec<F32> partners(hn::Vec<F32> v) {
  const F32 d;
  if constexpr (half == 1) return hn::Reverse2(d, v);
  if constexpr (half == 2) return hn::Shuffle1032(v);
  const hn::RebindToUnsigned<F32> integers;
  const auto places = hn::Xor(hn::Iota(integers, 0), hn::Set(integers, half));
  return hn::TableLookupLanes(v, hn::IndicesFromVec(d, places));
}

/// The stages within a vector, from `half` on: a + b in the lanes of a, a - b in those of b.
template <int half = 1>
HWY_INLINE hn::Vec<F32> within(hn::Vec<F32> v) {
  if constexpr (half >= lanes) {
    return v;
  } else {
    const F32 d;
    const hn::RebindToUnsigned<F32> integers;
    const auto bit = hn::And(hn::Iota(integers, 0), hn::Set(integers, half));
    const auto sign = hn::ShiftLeft<31>(hn::Min(bit, hn::Set(integers, 1)));
    return within<2 * half>(hn::Add(partners<half>(v), hn::Xor(v, hn::BitCast(d, sign))));
  }
}
#else
HWY_INLINE hn::Vec<F32> within(hn::Vec<F32> v) {
  return v;
}
#endif

/// The transform of R * lanes values.
template <int R>
void transform_vectors(float* values) {
  const F32 d;
  hn::Vec<F32> v[R];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) v[i] = within(hn::LoadU(d, values + i * lanes));
  butterflies(v);
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) hn::StoreU(v[i], d, values + i * lanes);
}

template <int R>
void transform_rows(float* values, int64_t stride, int64_t columns) {
  const F32 d;
  for (int64_t c = 0; c < columns; c += lanes) {
    hn::Vec<F32> v[R];
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) v[i] = hn::LoadU(d, values + i * stride + c);
    butterflies(v);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) hn::StoreU(v[i], d, values + i * stride + c);
  }
}

/// `columns`: a multiple of `lanes`.
void transform_columns(float* values, int64_t stride, int64_t rows, int64_t columns) {
  switch (rows) {
    case 2:
      return transform_rows<2>(values, stride, columns);
    case 4:
      return transform_rows<4>(values, stride, columns);
    case 8:
      return transform_rows<8>(values, stride, columns);
    default:
      return transform_rows<16>(values, stride, columns);
  }
}

void transform(float* values, int64_t count) {
  constexpr int64_t start = most_rows * lanes;
  int64_t done = std::min<int64_t>(count, start);
  if (done == start) {
    for (int64_t i = 0; i < count; i += start) transform_vectors<most_rows>(values + i);
  } else if (count >= lanes) {
    for (int64_t i = 0; i < count; i += lanes) transform_vectors<1>(values + i);
    done = lanes;
  } else {
    for (int64_t half = 1; half < count; half *= 2) {
      for (int64_t i = 0; i < count; ++i) {
        if (i & half) continue;
        const float a = values[i], b = values[i + half];
        values[i] = a + b;
        values[i + half] = a - b;
      }
    }
  }
  while (done < count) {
    const int64_t rows = std::min(most_rows, count / done);
    for (int64_t i = 0; i < count; i += rows * done) transform_columns(values + i, done, rows, done);
    done *= rows;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(transform);
HWY_EXPORT(transform_columns);

void walsh_hadamard_cpu(float* values, int64_t count) {
  HWY_DYNAMIC_DISPATCH(transform)(values, count);
}

void walsh_hadamard_columns_cpu(float* values, int64_t stride, int64_t rows, int64_t columns) {
  HWY_DYNAMIC_DISPATCH(transform_columns)(values, stride, rows, columns);
}

}  // namespace lowrank
#endif
