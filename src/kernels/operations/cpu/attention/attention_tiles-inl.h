// Register-blocked products and row conversions of the attention kernels; included once per Highway target.
#if defined(LOWRANK_ATTENTION_TILES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWRANK_ATTENTION_TILES_INL_H
#undef LOWRANK_ATTENTION_TILES_INL_H
#else
#define LOWRANK_ATTENTION_TILES_INL_H
#endif

#include <bit>
#include <cstdint>

#include <hwy/highway.h>

#include "kernels/core/cpu/softcap-inl.h"
#include "kernels/core/cpu/vectors-inl.h"
#include "kernels/operations/attention_plan.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::ScalableTag<float>;
using Vector = hn::Vec<F32>;

constexpr int64_t lanes = hn::MaxLanes(F32());
/// Rows of a register tile, and its columns in vectors: 24 sums with 32 registers, 12 with 16.
constexpr int tile_rows = 6;
constexpr int tile_vectors = (HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON) ? 4 : 2;

/// Keys packed for a product with a block of queries, and the columns they may take while being written in
/// parts, each padded to whole vectors.
constexpr int64_t key_block = 96;
constexpr int64_t key_columns = key_block + lanes;

constexpr int64_t round_up(int64_t n) {
  return (n + lanes - 1) / lanes * lanes;
}

template <class T>
HWY_INLINE Vector load(const T* p) {
  return load(F32(), p);
}
template <class T>
HWY_INLINE void store(Vector v, T* p) {
  store(v, F32(), p);
}

HWY_INLINE Vector exp2_negative(Vector x) {
  return exp2_negative(F32(), x);
}

/// Scores are kept in units of ln 2: q·k times this.
HWY_INLINE float score_factor(const AttentionShape& shape) {
  return static_cast<float>(shape.scale * 1.4426950408889634);
}

/// The cap of scores in the same units, 0 without one.
HWY_INLINE float cap_of(const AttentionShape& shape) {
  return static_cast<float>(shape.softcap * 1.4426950408889634);
}

HWY_INLINE float to_float(float x) {
  return x;
}
HWY_INLINE float to_float(uint16_t x) {
  return std::bit_cast<float>(static_cast<uint32_t>(x) << 16);
}

/// c[M, NV vectors] (+)= a[M, k] b[k, NV vectors], with a[i,l] at a + i*a_row + l*a_k and b in storage type
/// T.
template <int M, int NV, class T>
void tile(const float* a, int64_t a_row, int64_t a_k, const T* b, int64_t b_row, int64_t k, float* c,
          int64_t c_row, bool add) {
  Vector sum[M][NV];
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) sum[i][j] = add ? load(c + i * c_row + j * lanes) : hn::Zero(F32());
  for (int64_t l = 0; l < k; ++l) {
    Vector row[NV];
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) row[j] = load(b + j * lanes);
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) {
      const Vector x = hn::Set(F32(), a[i * a_row]);
#pragma GCC unroll 8
      for (int j = 0; j < NV; ++j) sum[i][j] = hn::MulAdd(x, row[j], sum[i][j]);
    }
    a += a_k;
    b += b_row;
  }
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) store(sum[i][j], c + i * c_row + j * lanes);
}

template <class T>
using Tile = void (*)(const float*, int64_t, int64_t, const T*, int64_t, int64_t, float*, int64_t, bool);

/// The tile function for m <= tile_rows rows and n <= tile_vectors vectors.
template <class T>
HWY_INLINE Tile<T> tile_of(int64_t m, int64_t n) {
#define LOWRANK_TILES(M) \
  { tile<M, 1, T>, tile<M, 2, T>, tile<M, tile_vectors == 4 ? 3 : 2, T>, tile<M, tile_vectors, T> }
  static constexpr Tile<T> table[tile_rows][4] = {LOWRANK_TILES(1), LOWRANK_TILES(2), LOWRANK_TILES(3),
                                                  LOWRANK_TILES(4), LOWRANK_TILES(5), LOWRANK_TILES(6)};
#undef LOWRANK_TILES
  return table[m - 1][n - 1];
}

/// c[m, n] (+)= a[m, k] b[k, n]; n is a multiple of `lanes`, a[i,l] lies at a + i*a_row + l*a_k.
template <class T>
HWY_INLINE void product(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_row, int64_t a_k,
                        const T* b, int64_t b_row, float* c, int64_t c_row, bool add) {
  for (int64_t j = 0; j < n; j += tile_vectors * lanes) {
    const int64_t vectors = HWY_MIN(tile_vectors, (n - j) / lanes);
    for (int64_t i = 0; i < m; i += tile_rows)
      tile_of<T>(HWY_MIN(tile_rows, m - i), vectors)(a + i * a_row, a_row, a_k, b + j, b_row, k,
                                                     c + i * c_row + j, c_row, add);
  }
}

/// to[0 … round_up(n)) = factor * from[0 … n), then zeros.
template <class T>
HWY_INLINE void copy_row(const T* from, int64_t n, float factor, float* to) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(hn::Mul(load(from + i), hn::Set(F32(), factor)), to + i);
  for (const int64_t end = round_up(n); i < end; ++i) to[i] = i < n ? factor * to_float(from[i]) : 0;
}

/// to[0 … n) = factor * from[0 … n) in storage type T; `from` may be read up to round_up(n).
template <class T>
HWY_INLINE void write_row(const float* from, int64_t n, float factor, T* to) {
  const Vector f = hn::Set(F32(), factor);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(hn::Mul(load(from + i), f), to + i);
  if (i == n) return;
  HWY_ALIGN T rest[hn::MaxLanes(F32())];
  store(hn::Mul(load(from + i), f), rest);
  for (int64_t j = 0; i + j < n; ++j) to[i + j] = rest[j];
}

#if HWY_TARGET != HWY_SCALAR
/// to[j][i] = from[i][j] for four rows i and columns j.
template <class T>
HWY_INLINE void transpose_4x4(const T* from, int64_t stride, float* to, int64_t ld) {
  const hn::FixedTag<float, 4> f;
  const auto a = load(f, from), b = load(f, from + stride);
  const auto c = load(f, from + 2 * stride), e = load(f, from + 3 * stride);
  const auto ac_low = hn::InterleaveLower(f, a, c), ac_high = hn::InterleaveUpper(f, a, c);
  const auto be_low = hn::InterleaveLower(f, b, e), be_high = hn::InterleaveUpper(f, b, e);
  hn::StoreU(hn::InterleaveLower(f, ac_low, be_low), f, to);
  hn::StoreU(hn::InterleaveUpper(f, ac_low, be_low), f, to + ld);
  hn::StoreU(hn::InterleaveLower(f, ac_high, be_high), f, to + 2 * ld);
  hn::StoreU(hn::InterleaveUpper(f, ac_high, be_high), f, to + 3 * ld);
}
#endif

/// to[d][0 … round_up(n)) = from[0 … n)[d], then zeros; rows of `to` are `ld` apart.
template <class T>
HWY_INLINE void transpose_rows(const T* from, int64_t stride, int64_t n, int64_t d, float* to, int64_t ld) {
  int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  if (d % 4 == 0)
    for (; i + 4 <= n; i += 4)
      for (int64_t j = 0; j < d; j += 4) transpose_4x4(from + i * stride + j, stride, to + j * ld + i, ld);
#endif
  for (const int64_t end = round_up(n); i < end; ++i)
    for (int64_t j = 0; j < d; ++j) to[j * ld + i] = i < n ? to_float(from[i * stride + j]) : 0;
}

/// Lanes whose index, counted from `first`, lies in [range.begin, range.end).
HWY_INLINE hn::Mask<F32> inside(int64_t first, Range range) {
  const F32 f;
  const Vector index = hn::Iota(f, static_cast<float>(first));
  return hn::And(hn::Ge(index, hn::Set(f, static_cast<float>(range.begin))),
                 hn::Lt(index, hn::Set(f, static_cast<float>(range.end))));
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
