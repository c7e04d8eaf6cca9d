// Twelve rows of x pass over a panel at a time, with their sums in registers.
#include "kernels/products/cpu/bf16_product_avx512bf16.h"

#include "base/error.h"

#if defined(__x86_64__)

#include <array>
#include <cstring>
#include <utility>

#include "kernels/products/cpu/bf16_panel_worker.h"

namespace lowrank {
namespace {

/// Rows whose sums of 32 columns fill 24 of the 32 registers.
constexpr int block_rows = 12;

/// Adds the dot products of one pair of x with 32 pairs of the panel.
LOWRANK_AVX512_BF16 inline __attribute__((always_inline)) void add_pair(const uint16_t* x, __m512i low,
                                                                        __m512i high, __m512& sum_low,
                                                                        __m512& sum_high) {
  int32_t pair = 0;
  std::memcpy(&pair, x, sizeof(pair));
  const auto both = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
  sum_low = _mm512_dpbf16_ps(sum_low, both, reinterpret_cast<__m512bh>(low));
  sum_high = _mm512_dpbf16_ps(sum_high, both, reinterpret_cast<__m512bh>(high));
}

LOWRANK_AVX512_BF16 inline __attribute__((always_inline)) void finish(const PanelBlock& block, int row,
                                                                      __m512 low, __m512 high) {
  if (!block.last) {
    _mm512_storeu_ps(block.sums + row * bf16_panel_columns, low);
    _mm512_storeu_ps(block.sums + row * bf16_panel_columns + 16, high);
    return;
  }
  const auto both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
  uint16_t* y = block.y + row * block.y_stride;
  if (block.columns == ~uint32_t{0}) {
    _mm512_storeu_si512(y, both);
  } else {
    _mm512_mask_storeu_epi16(y, block.columns, both);
  }
}

template <int... row>
LOWRANK_AVX512_BF16 void multiply(const PanelBlock& block, std::integer_sequence<int, row...> /*rows*/) {
  constexpr int rows = sizeof...(row);
  const float* from = block.first ? block.bias : block.sums;
  const int64_t stride = block.first ? 0 : bf16_panel_columns;
  __m512 low[rows] = {_mm512_loadu_ps(from + row * stride)...};
  __m512 high[rows] = {_mm512_loadu_ps(from + row * stride + 16)...};
  const uint16_t* x = block.x;
  const uint16_t* panel = block.panel;
  const int64_t x_stride = block.x_stride;
  for (int64_t k = 0; k < block.inner; k += 2, x += 2, panel += 2 * bf16_panel_columns) {
    if (k % bf16_fetch_inner == 0) block.next->fetch(block.next_lines);
    const __m512i left = _mm512_load_si512(panel), right = _mm512_load_si512(panel + bf16_panel_columns);
    (add_pair(x + row * x_stride, left, right, low[row], high[row]), ...);
  }
  (finish(block, row, low[row], high[row]), ...);
}

using Multiply = void (*)(const PanelBlock&);

template <int rows>
void multiply_rows(const PanelBlock& block) {
  multiply(block, std::make_integer_sequence<int, rows>{});
}

template <int... row>
constexpr std::array<Multiply, sizeof...(row)> table_of(std::integer_sequence<int, row...> /*rows*/) {
  return {multiply_rows<row + 1>...};
}

constexpr auto multiply_table = table_of(std::make_integer_sequence<int, block_rows>{});

struct DotKernel {
  static constexpr int rows = block_rows;
  /// A panel's 64 kB and the rows that pass over it stay in the second-level cache.
  static constexpr int64_t chunk = 1024;

  void multiply(const PanelBlock& block) const { multiply_table[block.rows - 1](block); }
};

}  // namespace

void bf16_product_avx512bf16(const Bf16Product& product, int64_t first_row, int64_t last_row,
                             int64_t first_panel, int64_t last_panel) {
  PanelWorker<DotKernel>(product, first_row, last_row).run(first_panel, last_panel);
}

}  // namespace lowrank

#else

namespace lowrank {

void bf16_product_avx512bf16(const Bf16Product& /*product*/, int64_t /*first_row*/, int64_t /*last_row*/,
                             int64_t /*first_panel*/, int64_t /*last_panel*/) {
  fail(ErrorKind::unsupported, "this processor has no dot products of bf16");
}

}  // namespace lowrank

#endif
