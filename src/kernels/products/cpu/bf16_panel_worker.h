#pragma once

// How products of bf16 pass over panels of the weight, whatever instructions multiply: included by files that
// are compiled for these.

#include <algorithm>
#include <cstdint>

#include <hwy/aligned_allocator.h>

#include "kernels/products/cpu/bf16_panel_avx512bf16.h"
#include "kernels/products/cpu/bf16_product_avx512bf16.h"
#include "kernels/products/cpu/line_fetcher.h"

namespace lowrank {

/// Inner values between two fetches from the next panel.
inline constexpr int64_t bf16_fetch_inner = 32;

/// Some rows of x times one panel.
struct PanelBlock {
  int rows = 0;
  const uint16_t* x = nullptr;
  int64_t x_stride = 0;
  const uint16_t* panel = nullptr;  ///< as lay_out_panel writes it
  int64_t inner = 0;
  float* sums = nullptr;  ///< [rows, 32], of the preceding inner values
  bool first = false, last = false;
  const float* bias = nullptr;  ///< of 32 columns
  uint16_t* y = nullptr;
  int64_t y_stride = 0;
  uint32_t columns = 0;         ///< a bit for each column that exists
  LineFetcher* next = nullptr;  ///< the panel that follows
  int64_t next_lines = 0;       ///< lines of it to fetch per bf16_fetch_inner inner values
};

/// One thread's part of a product. A panel of 32 columns of w^T and at most Kernel::chunk inner values is
/// laid out in the order in which dot products of pairs read it; then all rows of x pass over it,
/// Kernel::rows at a time. x is read in place. Meanwhile the next panel is fetched from memory.
/// Kernel::multiply(const PanelBlock&) computes a block: y, or the sums where inner values are left.
template <class Kernel>
class PanelWorker {
 public:
  PanelWorker(const Bf16Product& product, int64_t first_row, int64_t last_row)
      : product_(product), first_row_(first_row), last_row_(last_row) {
    const int64_t sums = bf16_panel_columns * (last_row - first_row);
    group_ = product.inner <= Kernel::chunk ? 1 : std::max<int64_t>(1, most_sums / sums);
    panel_ = hwy::AllocateAligned<uint16_t>(Kernel::chunk * bf16_panel_columns);
    if (product.inner > Kernel::chunk) sums_ = hwy::AllocateAligned<float>(group_ * sums);
  }

  /// Panels with more inner values than a chunk are processed in groups, so that whole rows of w are read.
  void run(int64_t first, int64_t last) {
    for (int64_t begin = first; begin < last; begin += group_) {
      const int64_t end = std::min(last, begin + group_);
      for (int64_t k = 0; k < product_.inner; k += Kernel::chunk) {
        for (int64_t panel = begin; panel < end; ++panel) {
          const bool more = panel + 1 < end;
          const bool deeper = k + Kernel::chunk < product_.inner;
          next_ = fetcher_of(more         ? part_of(panel + 1, k)
                             : deeper     ? part_of(begin, k + Kernel::chunk)
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
        std::min(Kernel::chunk, product_.inner - k)};
  }

  void one_panel(int64_t panel, int64_t k, int64_t place) {
    const WeightPart part = part_of(panel, k);
    lay_out_panel(part, panel_.get());
    alignas(64) float bias[bf16_panel_columns] = {};
    const int64_t column = panel * bf16_panel_columns;
    if (product_.bias) std::copy_n(product_.bias + column, part.columns, bias);
    PanelBlock block;
    block.x_stride = product_.x_stride;
    block.panel = panel_.get();
    block.inner = part.inner;
    block.first = k == 0;
    block.last = k + Kernel::chunk >= product_.inner;
    block.bias = bias;
    block.y_stride = product_.y_stride;
    block.columns = static_cast<uint32_t>((uint64_t{1} << part.columns) - 1);
    const int64_t rows = last_row_ - first_row_;
    // Spread evenly over the inner values of all blocks.
    const int64_t steps =
        (rows + Kernel::rows - 1) / Kernel::rows * ((part.inner + bf16_fetch_inner - 1) / bf16_fetch_inner);
    block.next = &next_;
    block.next_lines = (next_.left() + steps - 1) / steps;
    for (int64_t row = 0; row < rows; row += Kernel::rows) {
      const int64_t end = std::min<int64_t>(rows, row + Kernel::rows);
      block.x = product_.x + (first_row_ + row) * product_.x_stride + k;
      block.y = product_.y + (first_row_ + row) * product_.y_stride + column;
      if (sums_) block.sums = sums_.get() + (place * rows + row) * bf16_panel_columns;
      block.rows = static_cast<int>(end - row);
      kernel_.multiply(block);
    }
  }

  /// The fetcher of a part, which is fetched while another is multiplied.
  static LineFetcher fetcher_of(const WeightPart& part) {
    constexpr auto bytes = static_cast<int64_t>(sizeof(uint16_t));
    return {part.values, part.stride * bytes, (part.transposed ? part.columns : part.inner) * bytes,
            part.transposed ? part.inner : part.columns};
  }

  /// The most sums kept for panels that wait for their next inner values.
  static constexpr int64_t most_sums = 1 << 17;

  const Bf16Product& product_;
  Kernel kernel_;
  int64_t first_row_, last_row_;
  int64_t group_ = 1;
  LineFetcher next_;
  hwy::AlignedFreeUniquePtr<uint16_t[]> panel_;
  hwy::AlignedFreeUniquePtr<float[]> sums_;
};

}  // namespace lowrank
