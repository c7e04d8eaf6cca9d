// The kernels of blocks on 256-bit vectors, whose dot products of int8 are made of sums of two products.
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

HWY_PUSH_ATTRIBUTES("avx2,f16c,fma")
namespace lowrank {
namespace {

struct Vectors {
  static constexpr int lanes = 8;
  static constexpr int most_rows = 4;
  static constexpr bool saturates = true;  ///< whether sums of two products with bytes above 127 are cut off
  using Bytes = __m256i;
  using Floats = __m256;

  static HWY_INLINE Bytes zero() { return _mm256_setzero_si256(); }
  static HWY_INLINE Bytes load(const void* from) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(from));
  }
  static HWY_INLINE void store(uint8_t* to, Bytes v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), v);
  }
  static HWY_INLINE Bytes bytes(uint8_t v) { return _mm256_set1_epi8(static_cast<char>(v)); }
  static HWY_INLINE Bytes words(int32_t v) { return _mm256_set1_epi32(v); }
  static HWY_INLINE Bytes both(Bytes a, Bytes b) { return _mm256_and_si256(a, b); }
  static HWY_INLINE Bytes either(Bytes a, Bytes b) { return _mm256_or_si256(a, b); }
  static HWY_INLINE Bytes differing(Bytes a, Bytes b) { return _mm256_xor_si256(a, b); }
  static HWY_INLINE Bytes right(Bytes v, int n) { return _mm256_srl_epi32(v, _mm_cvtsi32_si128(n)); }
  static HWY_INLINE Bytes left(Bytes v, int n) { return _mm256_sll_epi32(v, _mm_cvtsi32_si128(n)); }
  static HWY_INLINE Bytes signed_right(Bytes v, int n) { return _mm256_sra_epi32(v, _mm_cvtsi32_si128(n)); }
  static HWY_INLINE Bytes multiply_words(Bytes a, Bytes b) { return _mm256_mullo_epi32(a, b); }
  static HWY_INLINE Bytes low32(Bytes a, Bytes b) { return _mm256_unpacklo_epi32(a, b); }
  static HWY_INLINE Bytes high32(Bytes a, Bytes b) { return _mm256_unpackhi_epi32(a, b); }
  static HWY_INLINE Bytes low64(Bytes a, Bytes b) { return _mm256_unpacklo_epi64(a, b); }
  static HWY_INLINE Bytes high64(Bytes a, Bytes b) { return _mm256_unpackhi_epi64(a, b); }

  static HWY_INLINE __m128i half(const std::byte* from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  }
  /// 16 bytes each of every fourth row.
  static HWY_INLINE Bytes rows_from(const std::byte* const* rows, int64_t at) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(half(rows[0] + at)), half(rows[4] + at), 1);
  }
  static HWY_INLINE Bytes looked_up(const uint8_t* table, Bytes v) {
    const __m128i values = _mm_load_si128(reinterpret_cast<const __m128i*>(table));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(values), v);
  }
  static HWY_INLINE Bytes broadcast_bytes(const int8_t* from) {
    int32_t four = 0;
    std::memcpy(&four, from, sizeof four);
    return _mm256_set1_epi32(four);
  }
  /// sum + the products of four bytes each, of `a` without and of `b` with sign; `wide` if bytes of a exceed
  /// 127.
  template <bool wide>
  static HWY_INLINE Bytes dot(Bytes sum, Bytes a, Bytes b) {
    if constexpr (wide) {
      const Bytes even =
          _mm256_madd_epi16(both(a, _mm256_set1_epi16(0xFF)), _mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8));
      const Bytes odd = _mm256_madd_epi16(_mm256_srli_epi16(a, 8), _mm256_srai_epi16(b, 8));
      return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
    }
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)));
  }

  static HWY_INLINE Floats floats(float v) { return _mm256_set1_ps(v); }
  static HWY_INLINE Floats load(const float* from) { return _mm256_loadu_ps(from); }
  static HWY_INLINE Floats broadcast(const float* from) { return _mm256_broadcast_ss(from); }
  static HWY_INLINE void store(float* to, Floats v) { _mm256_storeu_ps(to, v); }
  static HWY_INLINE Floats numbers(Bytes v) { return _mm256_cvtepi32_ps(v); }
  static HWY_INLINE Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static HWY_INLINE Floats added(Floats a, Floats b) { return _mm256_add_ps(a, b); }
  static HWY_INLINE Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
  static HWY_INLINE Floats halves(const uint16_t* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  /// The f16 in the low half of each 4 bytes.
  static HWY_INLINE Floats low_halves(Bytes v) {
    const Bytes low = both(v, words(0xFFFF));
    return _mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
  }
};

// Each needs those before it.
#include "kernels/blocks/cpu/block_panel-inl.h"
#include "kernels/blocks/cpu/block_unpack-inl.h"
#include "kernels/blocks/cpu/block_unpack_k-inl.h"
#include "kernels/blocks/cpu/panel_tiles-inl.h"

}  // namespace

const BlockKernels& block_kernels_avx2() {
  return kernels;
}

}  // namespace lowrank
HWY_POP_ATTRIBUTES

#else

namespace lowrank {

const BlockKernels& block_kernels_avx2() {
  static constexpr BlockKernels none;
  return none;
}

}  // namespace lowrank

#endif
