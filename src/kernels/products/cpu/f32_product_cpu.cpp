// A block of columns of w^T and at most `chunk` inner values is laid out in panels as wide as a tile of sums;
// then all rows of x pass over them, a few at a time, with their sums in registers and their values in the
// first-level cache from panel to panel. x is read in place. Meanwhile the next block is prefetched from
// memory.
#include "kernels/products/cpu/f32_product_cpu.h"

#include <algorithm>
#include <array>
#include <utility>

#include <hwy/aligned_allocator.h>

#include "kernels/core/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/products/cpu/f32_product_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/products/cpu/f32_panels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// Rows of a tile: 4 with 16 registers, 8 with 32.
constexpr int tile_rows = (HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON) ? 8 : 4;
/// Columns and inner values of a block: its 393 kB and the rows that pass over it stay in a second-level
/// cache of 1 MB.
constexpr int64_t block_columns = 2 * f32_panel_columns;
constexpr int64_t chunk = 1024;
constexpr int64_t align = 16;
/// Inner values between two fetches from the next block.
constexpr int64_t fetch_inner = 8;
static_assert(f32_panel_columns % panel_columns == 0);

/// Some rows of one panel: y = from + x panel.
struct Tile {
  const float* x = nullptr;
  int64_t x_stride = 0;
  const float* panel = nullptr;  ///< [inner, panel_columns]
  int64_t inner = 0;
  const float* from = nullptr;
  int64_t from_stride = 0;
  float* y = nullptr;
  int64_t y_stride = 0;
  LineFetcher* next = nullptr;  ///< the block that follows
  int64_t next_lines = 0;       ///< lines of it to fetch per fetch_inner inner values
};

/// sum[rows] += x[rows, inner] panel[inner].
template <int rows>
HWY_INLINE void add_products(const float* x, int64_t x_stride, const float* panel, int64_t inner,
                             Vector (&sum)[rows][panel_vectors]) {
  const Floats d;
  for (int64_t k = 0; k < inner; ++k, panel += panel_columns) {
    Vector right[panel_vectors];
#pragma GCC unroll 4
    for (int v = 0; v < panel_vectors; ++v) right[v] = hn::Load(d, panel + v * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const Vector left = hn::Set(d, x[r * x_stride + k]);
#pragma GCC unroll 4
      for (int v = 0; v < panel_vectors; ++v) sum[r][v] = hn::MulAdd(left, right[v], sum[r][v]);
    }
  }
}

template <int rows>
void multiply(const Tile& tile) {
  const Floats d;
  Vector sum[rows][panel_vectors];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < panel_vectors; ++v) sum[r][v] = hn::Zero(d);
  int64_t k = 0;
  for (; k + fetch_inner <= tile.inner; k += fetch_inner) {
    tile.next->fetch(tile.next_lines);
    add_products<rows>(tile.x + k, tile.x_stride, tile.panel + k * panel_columns, fetch_inner, sum);
  }
  add_products<rows>(tile.x + k, tile.x_stride, tile.panel + k * panel_columns, tile.inner - k, sum);
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < panel_vectors; ++v) {
      const Vector before = hn::LoadU(d, tile.from + r * tile.from_stride + v * lanes);
      hn::StoreU(hn::Add(before, sum[r][v]), d, tile.y + r * tile.y_stride + v * lanes);
    }
}

using Multiply = void (*)(const Tile&);

template <int... row>
constexpr std::array<Multiply, sizeof...(row)> table_of(std::integer_sequence<int, row...> /*rows*/) {
  return {multiply<row + 1>...};
}

constexpr auto multiply_table = table_of(std::make_integer_sequence<int, tile_rows>{});

/// A tile with fewer columns than a panel: through a copy of y.
HWY_INLINE void multiply_narrow(Tile tile, int64_t rows, int64_t columns) {
  alignas(64) float wide[tile_rows * panel_columns] = {};
  for (int64_t r = 0; r < rows; ++r)
    std::copy_n(tile.from + r * tile.from_stride, columns, wide + r * panel_columns);
  float* y = std::exchange(tile.y, wide);
  const int64_t stride = std::exchange(tile.y_stride, panel_columns);
  tile.from = wide;
  tile.from_stride = panel_columns;
  multiply_table[rows - 1](tile);
  for (int64_t r = 0; r < rows; ++r) std::copy_n(wide + r * panel_columns, columns, y + r * stride);
}

/// Length of the chunks, so that all are about equally long.
int64_t chunk_of(int64_t inner) {
  const int64_t chunks = std::max<int64_t>(1, (inner + chunk - 1) / chunk);
  return ((inner + chunks - 1) / chunks + align - 1) / align * align;
}

/// The state of one thread.
class Worker {
 public:
  Worker(const F32Product& product, int64_t first_row, int64_t last_row, int64_t first, int64_t last)
      : product_(product),
        first_row_(first_row),
        last_row_(last_row),
        first_(first),
        last_(std::min(last, product.outputs)),
        chunk_(chunk_of(product.inner)),
        block_(hwy::AllocateAligned<float>(chunk_ * std::min(block_columns, last - first))) {}

  void run() {
    for (int64_t k = 0; k < product_.inner; k += chunk_) {
      for (int64_t column = first_; column < last_; column += block_columns) {
        const bool more = column + block_columns < last_;
        const WeightPart next = more ? part_of(column + block_columns, k, block_columns)
                                : k + chunk_ < product_.inner ? part_of(first_, k + chunk_, block_columns)
                                                              : WeightPart{};
        next_ = fetcher_of(next);
        one_block(column, k);
      }
    }
  }

 private:
  /// At most `columns` columns.
  WeightPart part_of(int64_t column, int64_t k, int64_t columns) const {
    const int64_t place =
        product_.transposed ? k * product_.w_stride + column : column * product_.w_stride + k;
    return {product_.w + place, product_.w_stride, product_.transposed, std::min(columns, last_ - column),
            std::min(chunk_, product_.inner - k)};
  }

  void one_block(int64_t column, int64_t k) {
    const int64_t end = std::min(last_, column + block_columns);
    float* panel = block_.get();
    for (int64_t c = column; c < end; c += panel_columns, panel += chunk_ * panel_columns)
      lay_out_panel(part_of(c, k, panel_columns), panel);
    const int64_t rows = last_row_ - first_row_;
    // Spread evenly over the steps of all tiles.
    const int64_t tiles =
        (rows + tile_rows - 1) / tile_rows * ((end - column + panel_columns - 1) / panel_columns);
    const int64_t steps = std::max<int64_t>(1, tiles * (std::min(chunk_, product_.inner - k) / fetch_inner));
    next_lines_ = (next_.left() + steps - 1) / steps;
    for (int64_t row = 0; row < rows; row += tile_rows) {
      one_row_of_tiles(first_row_ + row, std::min<int64_t>(tile_rows, rows - row), column, end, k);
    }
  }

  void one_row_of_tiles(int64_t row, int64_t rows, int64_t column, int64_t end, int64_t k) {
    alignas(64) float bias[panel_columns] = {};
    Tile tile;
    tile.x = product_.x + row * product_.x_stride + k;
    tile.x_stride = product_.x_stride;
    tile.panel = block_.get();
    tile.inner = std::min(chunk_, product_.inner - k);
    tile.y_stride = product_.y_stride;
    tile.next = &next_;
    tile.next_lines = next_lines_;
    for (; column < end; column += panel_columns, tile.panel += chunk_ * panel_columns) {
      const int64_t columns = std::min(panel_columns, end - column);
      tile.y = product_.y + row * product_.y_stride + column;
      if (k == 0 && product_.bias) std::copy_n(product_.bias + column, columns, bias);
      tile.from = k == 0 ? bias : tile.y;
      tile.from_stride = k == 0 ? 0 : tile.y_stride;
      if (columns == panel_columns) {
        multiply_table[rows - 1](tile);
      } else {
        multiply_narrow(tile, rows, columns);
      }
    }
  }

  const F32Product& product_;
  int64_t first_row_, last_row_, first_, last_, chunk_, next_lines_ = 0;
  LineFetcher next_;
  hwy::AlignedFreeUniquePtr<float[]> block_;
};

void multiply_panels(const F32Product& product, int64_t first_row, int64_t last_row, int64_t first_panel,
                     int64_t last_panel) {
  Worker(product, first_row, last_row, first_panel * f32_panel_columns, last_panel * f32_panel_columns).run();
}

bool has_vectors() {
  return HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128;
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(multiply_panels);
HWY_EXPORT(has_vectors);

void f32_product_cpu(const F32Product& product, int64_t first_row, int64_t last_row, int64_t first_panel,
                     int64_t last_panel) {
  HWY_DYNAMIC_DISPATCH(multiply_panels)(product, first_row, last_row, first_panel, last_panel);
}

bool f32_product_has_vectors_cpu() {
  return HWY_DYNAMIC_DISPATCH(has_vectors)();
}

}  // namespace lowrank
#endif
