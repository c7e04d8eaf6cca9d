// A panel of 32 columns of w^T and at most `chunk` inner values is laid out in the order in which dot
// products of pairs read it; then all rows of x pass over it, twelve at a time, with their sums in registers.
// x is read in place. Meanwhile the next panel is prefetched from memory.
#include "kernels/products/cpu/bf16_product_avx512bf16.h"

#include "base/cpu_features.h"
#include "base/error.h"

#if defined(__x86_64__)

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <hwy/aligned_allocator.h>

#include "kernels/products/cpu/bf16_panel_avx512bf16.h"
#include "kernels/products/cpu/line_fetcher.h"

namespace lowrank {
namespace {

/// Rows whose sums of 32 columns fill 24 of the 32 registers.
constexpr int block_rows = 12;
/// Inner values of a panel: its 64 kB and the rows that pass over it stay in the second-level cache.
constexpr int64_t chunk = 1024;
/// Inner values between two fetches from the next panel.
constexpr int64_t fetch_inner = 32;
/// The most sums kept for panels that wait for their next inner values.
constexpr int64_t most_sums = 1 << 17;

/// Some rows of x times one panel.
struct Block {
  const uint16_t* x = nullptr;
  int64_t x_stride = 0;
  const uint16_t* panel = nullptr;
  int64_t inner = 0;
  float* sums = nullptr;  ///< [rows, 32], of the preceding inner values
  bool first = false, last = false;
  const float* bias = nullptr;  ///< of 32 columns
  uint16_t* y = nullptr;
  int64_t y_stride = 0;
  uint32_t columns = 0;         ///< a bit for each column that exists
  LineFetcher* next = nullptr;  ///< the panel that follows
  int64_t next_lines = 0;       ///< lines of it to fetch per fetch_inner inner values
};

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

LOWRANK_AVX512_BF16 inline __attribute__((always_inline)) void finish(const Block& block, int row, __m512 low,
                                                                      __m512 high) {
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
LOWRANK_AVX512_BF16 void multiply(const Block& block, std::integer_sequence<int, row...> /*rows*/) {
  constexpr int rows = sizeof...(row);
  const float* from = block.first ? block.bias : block.sums;
  const int64_t stride = block.first ? 0 : bf16_panel_columns;
  __m512 low[rows] = {_mm512_loadu_ps(from + row * stride)...};
  __m512 high[rows] = {_mm512_loadu_ps(from + row * stride + 16)...};
  const uint16_t* x = block.x;
  const uint16_t* panel = block.panel;
  const int64_t x_stride = block.x_stride;
  for (int64_t k = 0; k < block.inner; k += 2, x += 2, panel += 2 * bf16_panel_columns) {
    if (k % fetch_inner == 0) block.next->fetch(block.next_lines);
    const __m512i left = _mm512_load_si512(panel), right = _mm512_load_si512(panel + bf16_panel_columns);
    (add_pair(x + row * x_stride, left, right, low[row], high[row]), ...);
  }
  (finish(block, row, low[row], high[row]), ...);
}

using Multiply = void (*)(const Block&);

template <int rows>
void multiply_rows(const Block& block) {
  multiply(block, std::make_integer_sequence<int, rows>{});
}

template <int... row>
constexpr std::array<Multiply, sizeof...(row)> table_of(std::integer_sequence<int, row...> /*rows*/) {
  return {multiply_rows<row + 1>...};
}

constexpr auto multiply_table = table_of(std::make_integer_sequence<int, block_rows>{});

/// The fetcher of a part, which is fetched while another is multiplied.
LineFetcher fetcher_of(const WeightPart& part) {
  constexpr auto bytes = static_cast<int64_t>(sizeof(uint16_t));
  return {part.values, part.stride * bytes, (part.transposed ? part.columns : part.inner) * bytes,
          part.transposed ? part.inner : part.columns};
}

/// The state of one thread.
class Worker {
 public:
  Worker(const Bf16Product& product, int64_t first_row, int64_t last_row)
      : product_(product), first_row_(first_row), last_row_(last_row) {
    const int64_t sums = bf16_panel_columns * (last_row - first_row);
    group_ = product.inner <= chunk ? 1 : std::max<int64_t>(1, most_sums / sums);
    panel_ = hwy::AllocateAligned<uint16_t>(chunk * bf16_panel_columns);
    if (product.inner > chunk) sums_ = hwy::AllocateAligned<float>(group_ * sums);
  }

  /// Panels with more inner values than a chunk are processed in groups, so that whole rows of w are read.
  void run(int64_t first, int64_t last) {
    for (int64_t begin = first; begin < last; begin += group_) {
      const int64_t end = std::min(last, begin + group_);
      for (int64_t k = 0; k < product_.inner; k += chunk) {
        for (int64_t panel = begin; panel < end; ++panel) {
          const bool more = panel + 1 < end;
          const bool deeper = k + chunk < product_.inner;
          next_ = fetcher_of(more         ? part_of(panel + 1, k)
                             : deeper     ? part_of(begin, k + chunk)
                             : end < last ? part_of(end, 0)
                                          : WeightPart{});
          one_panel(panel, k, panel - begin);
        }
      }
    }
  }

 private:
  WeightPart part_of(int64_t panel, int64_t k) const {
    const int64_t column = panel * bf16_panel_columns;
    return {
        product_.w + (product_.transposed ? k * product_.w_stride + column : column * product_.w_stride + k),
        product_.w_stride, product_.transposed, std::min(bf16_panel_columns, product_.outputs - column),
        std::min(chunk, product_.inner - k)};
  }

  void one_panel(int64_t panel, int64_t k, int64_t place) {
    const WeightPart part = part_of(panel, k);
    lay_out_panel(part, panel_.get());
    alignas(64) float bias[bf16_panel_columns] = {};
    const int64_t column = panel * bf16_panel_columns;
    if (product_.bias) std::copy_n(product_.bias + column, part.columns, bias);
    Block block;
    block.x_stride = product_.x_stride;
    block.panel = panel_.get();
    block.inner = part.inner;
    block.first = k == 0;
    block.last = k + chunk >= product_.inner;
    block.bias = bias;
    block.y_stride = product_.y_stride;
    block.columns = static_cast<uint32_t>((uint64_t{1} << part.columns) - 1);
    const int64_t rows = last_row_ - first_row_;
    // Spread evenly over the inner values of all blocks.
    const int64_t steps =
        (rows + block_rows - 1) / block_rows * ((part.inner + fetch_inner - 1) / fetch_inner);
    block.next = &next_;
    block.next_lines = (next_.left() + steps - 1) / steps;
    for (int64_t row = 0; row < rows; row += block_rows) {
      const int64_t end = std::min<int64_t>(rows, row + block_rows);
      block.x = product_.x + (first_row_ + row) * product_.x_stride + k;
      block.y = product_.y + (first_row_ + row) * product_.y_stride + column;
      if (sums_) block.sums = sums_.get() + (place * rows + row) * bf16_panel_columns;
      multiply_table[end - row - 1](block);
    }
  }

  const Bf16Product& product_;
  int64_t first_row_, last_row_;
  int64_t group_ = 1;
  LineFetcher next_;
  hwy::AlignedFreeUniquePtr<uint16_t[]> panel_;
  hwy::AlignedFreeUniquePtr<float[]> sums_;
};

}  // namespace

bool has_avx512bf16() {
  return cpu_features().avx512 && cpu_features().avx512_bf16;
}

void bf16_product_avx512bf16(const Bf16Product& product, int64_t first_row, int64_t last_row,
                             int64_t first_panel, int64_t last_panel) {
  Worker(product, first_row, last_row).run(first_panel, last_panel);
}

}  // namespace lowrank

#else

namespace lowrank {

bool has_avx512bf16() {
  return false;
}

void bf16_product_avx512bf16(const Bf16Product& /*product*/, int64_t /*first_row*/, int64_t /*last_row*/,
                             int64_t /*first_panel*/, int64_t /*last_panel*/) {
  fail(ErrorKind::unsupported, "this processor has no dot products of bf16");
}

}  // namespace lowrank

#endif
