#pragma once

#include <cstdint>
#include <immintrin.h>

// Functions that use these vectors are compiled for them, whatever the rest of the program is compiled for.
#define LOWRANK_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

namespace lowrank {

/// A part of a weight: `columns` <= 32 of its outputs, `inner` values of each.
struct WeightPart {
  const uint16_t* values = nullptr;
  int64_t stride = 0;       ///< of rows in memory
  bool transposed = false;  ///< rows are inner values rather than outputs
  int64_t columns = 0, inner = 0;
};

/// Writes the part as pairs: to[k / 2][column][k % 2] for 32 columns, missing ones as zeros, and zeros for
/// inner values up to a multiple of 32.
void lay_out_panel(const WeightPart& part, uint16_t* to);

/// A matrix of 16 x 16 pairs, transposed in registers.
LOWRANK_AVX512_BF16 inline void transpose_16x16(__m512i (&r)[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  constexpr int even = 0x88, odd = 0xDD;
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], even);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], odd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], even);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], odd);
  }
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], even);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], odd);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], even);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], odd);
  }
}

}  // namespace lowrank
