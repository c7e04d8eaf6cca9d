// The kernels of blocks on 512-bit vectors with dot products of int8.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include <hwy/base.h>

#include "base/half.h"
#include "kernels/blocks/cpu/block_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

HWY_PUSH_ATTRIBUTES("avx2,f16c,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")
namespace lowrank {
namespace {

struct Vectors {
  static constexpr int lanes = 16;
  static constexpr int most_rows = 16;
  static constexpr bool saturates = false;  ///< whether sums of two products with bytes above 127 are cut off
  using Bytes = __m512i;
  using Floats = __m512;

  static HWY_INLINE Bytes zero() { return _mm512_setzero_si512(); }
  static HWY_INLINE Bytes load(const void* from) { return _mm512_loadu_si512(from); }
  static HWY_INLINE void store(uint8_t* to, Bytes v) { _mm512_storeu_si512(to, v); }
  static HWY_INLINE Bytes bytes(uint8_t v) { return _mm512_set1_epi8(static_cast<char>(v)); }
  static HWY_INLINE Bytes words(int32_t v) { return _mm512_set1_epi32(v); }
  static HWY_INLINE Bytes both(Bytes a, Bytes b) { return _mm512_and_si512(a, b); }
  static HWY_INLINE Bytes either(Bytes a, Bytes b) { return _mm512_or_si512(a, b); }
  static HWY_INLINE Bytes differing(Bytes a, Bytes b) { return _mm512_xor_si512(a, b); }
  static HWY_INLINE Bytes right(Bytes v, int n) { return _mm512_srl_epi32(v, _mm_cvtsi32_si128(n)); }
  static HWY_INLINE Bytes left(Bytes v, int n) { return _mm512_sll_epi32(v, _mm_cvtsi32_si128(n)); }
  static HWY_INLINE Bytes signed_right(Bytes v, int n) { return _mm512_sra_epi32(v, _mm_cvtsi32_si128(n)); }
  static HWY_INLINE Bytes multiply_words(Bytes a, Bytes b) { return _mm512_mullo_epi32(a, b); }
  static HWY_INLINE Bytes low32(Bytes a, Bytes b) { return _mm512_unpacklo_epi32(a, b); }
  static HWY_INLINE Bytes high32(Bytes a, Bytes b) { return _mm512_unpackhi_epi32(a, b); }
  static HWY_INLINE Bytes low64(Bytes a, Bytes b) { return _mm512_unpacklo_epi64(a, b); }
  static HWY_INLINE Bytes high64(Bytes a, Bytes b) { return _mm512_unpackhi_epi64(a, b); }

  static HWY_INLINE __m128i quarter(const std::byte* from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  }
  /// 16 bytes each of every fourth row.
  static HWY_INLINE Bytes rows_from(const std::byte* const* rows, int64_t at) {
    Bytes v = _mm512_castsi128_si512(quarter(rows[0] + at));
    v = _mm512_inserti32x4(v, quarter(rows[4] + at), 1);
    v = _mm512_inserti32x4(v, quarter(rows[8] + at), 2);
    return _mm512_inserti32x4(v, quarter(rows[12] + at), 3);
  }
  static HWY_INLINE Bytes looked_up(const uint8_t* table, Bytes v) {
    const __m128i values = _mm_load_si128(reinterpret_cast<const __m128i*>(table));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(values), v);
  }
  static HWY_INLINE Bytes broadcast_bytes(const int8_t* from) {
    int32_t four = 0;
    std::memcpy(&four, from, sizeof four);
    return _mm512_set1_epi32(four);
  }
  /// sum + the products of four bytes each, of `a` without and of `b` with sign.
  template <bool wide>
  static HWY_INLINE Bytes dot(Bytes sum, Bytes a, Bytes b) {
    return _mm512_dpbusd_epi32(sum, a, b);
  }

  static HWY_INLINE Floats floats(float v) { return _mm512_set1_ps(v); }
  static HWY_INLINE Floats load(const float* from) { return _mm512_loadu_ps(from); }
  static HWY_INLINE Floats broadcast(const float* from) { return _mm512_set1_ps(*from); }
  static HWY_INLINE void store(float* to, Floats v) { _mm512_storeu_ps(to, v); }
  static HWY_INLINE Floats numbers(Bytes v) { return _mm512_cvtepi32_ps(v); }
  static HWY_INLINE Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static HWY_INLINE Floats added(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  static HWY_INLINE Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
  static HWY_INLINE Floats halves(const uint16_t* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  /// The f16 in the low half of each 4 bytes.
  static HWY_INLINE Floats low_halves(Bytes v) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v)); }
};

// Each needs those before it.
#include "kernels/blocks/cpu/block_panel-inl.h"
#include "kernels/blocks/cpu/block_unpack-inl.h"
#include "kernels/blocks/cpu/block_unpack_k-inl.h"
#include "kernels/blocks/cpu/panel_tiles-inl.h"

}  // namespace

const BlockKernels& block_kernels_avx512vnni() {
  return kernels;
}

}  // namespace lowrank
HWY_POP_ATTRIBUTES

#else

namespace lowrank {

const BlockKernels& block_kernels_avx512vnni() {
  static constexpr BlockKernels none;
  return none;
}

}  // namespace lowrank

#endif
