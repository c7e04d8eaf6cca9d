// Parts of an f32 weight laid out as a product reads them; included once per Highway target.
#if defined(LOWRANK_F32_PANELS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWRANK_F32_PANELS_INL_H
#undef LOWRANK_F32_PANELS_INL_H
#else
#define LOWRANK_F32_PANELS_INL_H
#endif

#include <algorithm>
#include <cstdint>

#include <hwy/highway.h>

#include "kernels/products/cpu/line_fetcher.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;
constexpr int lanes = HWY_LANES(float);
/// Vectors in a row of a panel: with 8 rows of x (4 with 16 registers) their sums fill 24 (12) registers.
constexpr int panel_vectors = 3;
constexpr int64_t panel_columns = panel_vectors * lanes;

/// A part of a weight: `columns` of its outputs, `inner` values of each.
struct WeightPart {
  const float* values = nullptr;
  int64_t stride = 0;       ///< of rows in memory
  bool transposed = false;  ///< rows are inner values rather than outputs
  int64_t columns = 0, inner = 0;
};

/// The fetcher of a part, which is fetched while another is multiplied.
inline LineFetcher fetcher_of(const WeightPart& part) {
  constexpr auto bytes = static_cast<int64_t>(sizeof(float));
  return {part.values, part.stride * bytes, (part.transposed ? part.columns : part.inner) * bytes,
          part.transposed ? part.inner : part.columns};
}

#if HWY_TARGET != HWY_SCALAR

/// A square matrix, transposed in registers.
HWY_INLINE void transpose(Vector (&r)[lanes]) {
  const Floats d;
  const hn::Repartition<double, Floats> pairs;
  Vector t[lanes];
#pragma GCC unroll 16
  for (int i = 0; i < lanes; i += 2) {
    t[i] = hn::InterleaveLower(d, r[i], r[i + 1]);
    t[i + 1] = hn::InterleaveUpper(d, r[i], r[i + 1]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < lanes; i += 4) {
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      const auto a = hn::BitCast(pairs, t[i + j]), b = hn::BitCast(pairs, t[i + j + 2]);
      r[i + 2 * j] = hn::BitCast(d, hn::InterleaveLower(pairs, a, b));
      r[i + 2 * j + 1] = hn::BitCast(d, hn::InterleaveUpper(pairs, a, b));
    }
  }
  // Now 4 x 4 squares are transposed within blocks of 128 bits.
#if HWY_MAX_BYTES >= 32
#pragma GCC unroll 16
  for (int i = 0; i < lanes / 2; ++i) {
    t[i] = hn::ConcatLowerLower(d, r[i + lanes / 2], r[i]);
    t[i + lanes / 2] = hn::ConcatUpperUpper(d, r[i + lanes / 2], r[i]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < lanes; ++i) {
    if constexpr (lanes == 8) {
      r[i] = t[i];
    } else if (i % 8 < 4) {
      r[i] = hn::OddEvenBlocks(hn::SwapAdjacentBlocks(t[i + 4]), t[i]);
    } else {
      r[i] = hn::OddEvenBlocks(t[i], hn::SwapAdjacentBlocks(t[i - 4]));
    }
  }
#endif
}

#endif

/// Rows are outputs: columns are gathered a square at a time, what is outside whole squares value by value.
HWY_INLINE void lay_out_outputs(const WeightPart& part, float* to) {
  for (int64_t column = 0; column < panel_columns; column += lanes) {
    int64_t k = 0;
#if HWY_TARGET != HWY_SCALAR
    for (; column + lanes <= part.columns && k + lanes <= part.inner; k += lanes) {
      const Floats d;
      Vector square[lanes];
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i) square[i] = hn::LoadU(d, part.values + (column + i) * part.stride + k);
      transpose(square);
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i) hn::Store(square[i], d, to + (k + i) * panel_columns + column);
    }
#endif
    for (; k < part.inner; ++k) {
      for (int64_t i = column; i < column + lanes; ++i)
        to[k * panel_columns + i] = i < part.columns ? part.values[i * part.stride + k] : 0;
    }
  }
}

/// Rows are inner values: copied.
HWY_INLINE void lay_out_inner(const WeightPart& part, float* to) {
  const Floats d;
  for (int64_t k = 0; k < part.inner; ++k, to += panel_columns) {
    const float* row = part.values + k * part.stride;
    if (part.columns == panel_columns) {
#pragma GCC unroll 4
      for (int v = 0; v < panel_vectors; ++v) hn::Store(hn::LoadU(d, row + v * lanes), d, to + v * lanes);
    } else {
      std::fill(std::copy_n(row, part.columns, to), to + panel_columns, 0.0F);
    }
  }
}

/// Writes a part of at most panel_columns columns as to[inner][panel_columns], missing columns as zeros.
HWY_INLINE void lay_out_panel(const WeightPart& part, float* to) {
  if (part.transposed) {
    lay_out_inner(part, to);
  } else {
    lay_out_outputs(part, to);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
