#include "kernels/operations/cpu/attention/attention_pairs_avx512bf16.h"

#include "base/error.h"
#include "kernels/core/cpu/avx512bf16.h"

namespace lowrank {

bool has_pair_products(const AttentionOperands& operands) {
  return operands.bf16 && operands.shape.head_dim % 32 == 0 && has_avx512bf16();
}

}  // namespace lowrank

#if defined(__x86_64__)

#include <algorithm>
#include <array>
#include <utility>

namespace lowrank {
namespace {

constexpr int lanes = 16;
/// Rows and vectors of columns whose sums fill 24 of the 32 registers.
constexpr int tile_rows = 6, tile_vectors = 4;

template <int rows, int vectors>
LOWRANK_AVX512_BF16 void tile(const PairProduct& product, int64_t row, int64_t column) {
  __m512 sum[rows][vectors];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) sum[i][j] = _mm512_setzero_ps();
  const Pair* a = product.a + row * product.a_row;
  const Pair* b = product.b + column;
  for (int64_t l = 0; l < product.pairs; ++l) {
    __m512bh right[vectors];
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j)
      right[j] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + j * lanes));
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const auto left = reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(a[i * product.a_row])));
#pragma GCC unroll 8
      for (int j = 0; j < vectors; ++j) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], left, right[j]);
    }
    a += product.a_pair;
    b += product.b_row;
  }
  const __m512 factor = _mm512_set1_ps(product.factor);
  float* c = product.c + row * product.c_row + column;
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) {
      float* to = c + i * product.c_row + j * lanes;
      const __m512 before = product.add ? _mm512_loadu_ps(to) : _mm512_setzero_ps();
      _mm512_storeu_ps(to, _mm512_fmadd_ps(sum[i][j], factor, before));
    }
}

using Tile = void (*)(const PairProduct&, int64_t row, int64_t column);

template <int rows>
constexpr std::array<Tile, tile_vectors> tiles_of() {
  return {tile<rows, 1>, tile<rows, 2>, tile<rows, 3>, tile<rows, 4>};
}

constexpr std::array<std::array<Tile, tile_vectors>, tile_rows> tiles = {
    tiles_of<1>(), tiles_of<2>(), tiles_of<3>(), tiles_of<4>(), tiles_of<5>(), tiles_of<6>()};

/// Vectors whose lanes are pairs of the lanes of two.
LOWRANK_AVX512_BF16 inline __attribute__((always_inline)) __m512i paired(__m256i first, __m256i second) {
  return _mm512_or_si512(_mm512_cvtepu16_epi32(first), _mm512_slli_epi32(_mm512_cvtepu16_epi32(second), 16));
}

LOWRANK_AVX512_BF16 inline __attribute__((always_inline)) __m256i sixteen(const uint16_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

LOWRANK_AVX512_BF16 inline __attribute__((always_inline)) __m256i rounded(const float* from) {
  return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_loadu_ps(from)));
}

}  // namespace

void pair_product(const PairProduct& product) {
  for (int64_t column = 0; column < product.n; column += tile_vectors * lanes) {
    const int64_t vectors = std::min<int64_t>(tile_vectors, (product.n - column) / lanes);
    for (int64_t row = 0; row < product.m; row += tile_rows)
      tiles[std::min<int64_t>(tile_rows, product.m - row) - 1][vectors - 1](product, row, column);
  }
}

LOWRANK_AVX512_BF16 void transpose_pairs(const uint16_t* const* rows, int64_t count, int64_t width, Pair* to,
                                         int64_t to_row) {
  for (int64_t first = 0; first < count; first += lanes) {
    for (int64_t d = 0; d < width; d += 2 * lanes) {
      __m512i block[lanes];
      for (int i = 0; i < lanes; ++i)
        block[i] = first + i < count ? _mm512_loadu_si512(rows[first + i] + d) : _mm512_setzero_si512();
      transpose_16x16(block);
      Pair* place = to + d / 2 * to_row + first;
      for (int i = 0; i < lanes; ++i) _mm512_storeu_si512(place + i * to_row, block[i]);
    }
  }
}

LOWRANK_AVX512_BF16 void interleave_rows(const uint16_t* const* rows, int64_t count, int64_t width,
                                         Pair* to) {
  for (int64_t i = 0; i < count; i += 2, to += width) {
    for (int64_t d = 0; d < width; d += lanes) {
      const __m256i second = i + 1 < count ? sixteen(rows[i + 1] + d) : _mm256_setzero_si256();
      _mm512_storeu_si512(to + d, paired(sixteen(rows[i] + d), second));
    }
  }
}

LOWRANK_AVX512_BF16 void round_row(const float* from, int64_t count, Pair* to) {
  for (int64_t i = 0; i < count; i += lanes)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i / 2), rounded(from + i));
}

LOWRANK_AVX512_BF16 void round_rows_interleaved(const float* first, const float* second, int64_t count,
                                                Pair* to) {
  for (int64_t i = 0; i < count; i += lanes)
    _mm512_storeu_si512(to + i, paired(rounded(first + i), rounded(second + i)));
}

}  // namespace lowrank

#else

namespace lowrank {
namespace {

[[noreturn]] void missing() {
  fail(ErrorKind::unsupported, "this processor has no dot products of bf16");
}

}  // namespace

void pair_product(const PairProduct& /*product*/) {
  missing();
}
void transpose_pairs(const uint16_t* const* /*rows*/, int64_t /*count*/, int64_t /*width*/, Pair* /*to*/,
                     int64_t /*to_row*/) {
  missing();
}
void interleave_rows(const uint16_t* const* /*rows*/, int64_t /*count*/, int64_t /*width*/, Pair* /*to*/) {
  missing();
}
void round_row(const float* /*from*/, int64_t /*count*/, Pair* /*to*/) {
  missing();
}
void round_rows_interleaved(const float* /*first*/, const float* /*second*/, int64_t /*count*/,
                            Pair* /*to*/) {
  missing();
}

}  // namespace lowrank

#endif
