#pragma once

#include "base/cpu_features.h"

#if defined(__x86_64__)
#include <immintrin.h>

// Functions that use these vectors are compiled for them, whatever the rest of the program is compiled for.
#define LOWRANK_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#endif

namespace lowrank {

/// True if the processor has dot products of bf16 pairs (AVX512-BF16) and LOWRANK_CPU allows them.
inline bool has_avx512bf16() {
  return cpu_features().avx512 && cpu_features().avx512_bf16;
}

#if defined(__x86_64__)

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

#endif

}  // namespace lowrank
