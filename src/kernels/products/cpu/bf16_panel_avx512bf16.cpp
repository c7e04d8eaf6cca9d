#if defined(__x86_64__)

#include "kernels/products/cpu/bf16_panel_avx512bf16.h"

#include <algorithm>

namespace lowrank {
namespace {

constexpr int64_t columns = 32;          ///< of a panel
constexpr int64_t values_per_line = 32;  ///< and in a vector
constexpr int half = 16;

/// Bits for the first `count` of 32 values.
uint32_t first_bits(int64_t count) {
  return static_cast<uint32_t>((uint64_t{1} << std::clamp<int64_t>(count, 0, 32)) - 1);
}

/// Rows are outputs: pairs are already adjacent, columns must be gathered.
LOWRANK_AVX512_BF16 void lay_out_outputs(const WeightPart& part, uint16_t* to) {
  for (int64_t first = 0; first < columns; first += half) {
    const int64_t rows = std::clamp<int64_t>(part.columns - first, 0, half);
    for (int64_t k = 0; k < part.inner; k += values_per_line) {
      const uint32_t left = first_bits(part.inner - k);
      __m512i pairs[half];
      for (int64_t row = 0; row < half; ++row)
        pairs[row] = _mm512_maskz_loadu_epi16(row < rows ? left : 0,
                                              part.values + (row < rows ? first + row : 0) * part.stride + k);
      transpose_16x16(pairs);
      uint16_t* place = to + k * columns + 2 * first;
      for (int pair = 0; pair < half; ++pair) _mm512_store_si512(place + 2 * columns * pair, pairs[pair]);
    }
  }
}

/// Rows are inner values: two at a time are interleaved.
LOWRANK_AVX512_BF16 void lay_out_inner(const WeightPart& part, uint16_t* to) {
  alignas(64) uint16_t order[2][columns];
  for (uint16_t i = 0; i < columns; ++i) {
    order[0][i] = static_cast<uint16_t>(i / 2 + (i % 2) * columns);
    order[1][i] = static_cast<uint16_t>(order[0][i] + half);
  }
  const __m512i low = _mm512_load_si512(order[0]), high = _mm512_load_si512(order[1]);
  const uint32_t mask = first_bits(part.columns);
  for (int64_t k = 0; k < part.inner; k += 2) {
    const uint16_t* row = part.values + k * part.stride;
    const __m512i even = _mm512_maskz_loadu_epi16(mask, row);
    const __m512i odd = _mm512_maskz_loadu_epi16(mask, row + part.stride);
    _mm512_store_si512(to + k * columns, _mm512_permutex2var_epi16(even, low, odd));
    _mm512_store_si512(to + (k + 1) * columns, _mm512_permutex2var_epi16(even, high, odd));
  }
  for (int64_t k = part.inner; k % values_per_line != 0; ++k)
    _mm512_store_si512(to + k * columns, _mm512_setzero_si512());
}

}  // namespace

void lay_out_panel(const WeightPart& part, uint16_t* to) {
  if (part.transposed) {
    lay_out_inner(part, to);
  } else {
    lay_out_outputs(part, to);
  }
}

}  // namespace lowrank

#endif
