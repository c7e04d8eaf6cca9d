#pragma once

// A block of a bf16 product by tiles (AMX): two tiles of rows of x and two of columns of the panel give four
// of sums.

#include <algorithm>
#include <cstdint>

#include "kernels/products/cpu/bf16_panel_worker.h"

#define LOWRANK_TILES \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16")))

namespace lowrank {

/// Rows of a tile; the bytes of each are 16 numbers of f32, or 32 of bf16.
inline constexpr int amx_tile_rows = 16;
inline constexpr int amx_row_bytes = 64;

/// The eight tiles: sums of the upper and the lower rows with the left and the right columns, then operands.
enum BlockTile {
  upper_left,
  upper_right,
  lower_left,
  lower_right,
  upper_x,
  lower_x,
  left_panel,
  right_panel
};

/// What LDTILECFG reads for a block of so many upper and lower rows: palette 1 has eight tiles of at most 16
/// rows of 64 bytes; a tile without rows is not to be used.
struct alignas(64) TileConfiguration {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  TileConfiguration(int upper, int lower) {
    for (const BlockTile tile : {upper_left, upper_right, upper_x}) set(tile, upper);
    for (const BlockTile tile : {lower_left, lower_right, lower_x}) set(tile, lower);
    for (const BlockTile tile : {left_panel, right_panel}) set(tile, amx_tile_rows);
  }

 private:
  void set(BlockTile tile, int count) {
    rows[tile] = static_cast<uint8_t>(count);
    row_bytes[tile] = count > 0 ? amx_row_bytes : 0;
  }
};
static_assert(sizeof(TileConfiguration) == 64);

/// Kernel of PanelWorker. Tiles is the instruction set: configure(upper rows, lower rows), zero<tile>(),
/// load<tile>(from, stride in bytes), store<tile>(to, stride), and multiply_add<sums, x, panel>(), which adds
/// to sums[m][n] x[m][2k] panel[k][2n] + x[m][2k+1] panel[k][2n+1] over k in f32 (Intel, Architecture
/// Instruction Set Extensions Programming Reference, chapter 3: TDPBF16PS). A panel is in that order as
/// lay_out_panel writes it.
template <class Tiles>
class TileKernel {
 public:
  static constexpr int rows = 2 * amx_tile_rows;
  /// A panel's 48 kB stay in the first-level cache, all but what x and the sums displace.
  static constexpr int64_t chunk = 768;

  LOWRANK_TILES void multiply(const PanelBlock& block) {
    const int upper = std::min(block.rows, amx_tile_rows), lower = block.rows - upper;
    if (block.rows != configured_) tiles_.configure(upper, lower);
    configured_ = block.rows;
    if (lower > 0) {
      add_products<true>(block);
    } else {
      add_products<false>(block);
    }
  }

 private:
  static constexpr int64_t sum_bytes = bf16_panel_columns * static_cast<int64_t>(sizeof(float));
  static constexpr int64_t pair_bytes = 2 * bf16_panel_columns * static_cast<int64_t>(sizeof(uint16_t));
  static constexpr int64_t step = 32;  ///< inner values of a tile

  template <bool lower>
  LOWRANK_TILES void add_products(const PanelBlock& block) {
    begin_sums<lower>(block);
    for (int64_t k = 0; k < block.inner; k += step) {
      block.next->fetch(block.next_lines);
      const uint16_t* x = block.x + k;
      int64_t x_stride = block.x_stride;
      if (block.inner - k < step) {
        copy_rest(block, k);
        x = rest_;
        x_stride = step;
      }
      const int64_t x_bytes = x_stride * static_cast<int64_t>(sizeof(uint16_t));
      const uint16_t* panel = block.panel + k * bf16_panel_columns;
      tiles_.template load<left_panel>(panel, pair_bytes);
      tiles_.template load<upper_x>(x, x_bytes);
      tiles_.template multiply_add<upper_left, upper_x, left_panel>();
      tiles_.template load<right_panel>(panel + bf16_panel_columns, pair_bytes);
      tiles_.template multiply_add<upper_right, upper_x, right_panel>();
      if constexpr (lower) {
        tiles_.template load<lower_x>(x + amx_tile_rows * x_stride, x_bytes);
        tiles_.template multiply_add<lower_left, lower_x, left_panel>();
        tiles_.template multiply_add<lower_right, lower_x, right_panel>();
      }
    }
    float* sums = block.last ? results_ : block.sums;
    store_sums<lower>(sums);
    if (block.last) write_rows(block);
  }

  template <bool lower>
  LOWRANK_TILES void begin_sums(const PanelBlock& block) {
    if (block.first) {
      tiles_.template zero<upper_left>();
      tiles_.template zero<upper_right>();
      if constexpr (lower) {
        tiles_.template zero<lower_left>();
        tiles_.template zero<lower_right>();
      }
      return;
    }
    const float* below = block.sums + amx_tile_rows * bf16_panel_columns;
    tiles_.template load<upper_left>(block.sums, sum_bytes);
    tiles_.template load<upper_right>(block.sums + amx_tile_rows, sum_bytes);
    if constexpr (lower) {
      tiles_.template load<lower_left>(below, sum_bytes);
      tiles_.template load<lower_right>(below + amx_tile_rows, sum_bytes);
    }
  }

  template <bool lower>
  LOWRANK_TILES void store_sums(float* sums) {
    float* below = sums + amx_tile_rows * bf16_panel_columns;
    tiles_.template store<upper_left>(sums, sum_bytes);
    tiles_.template store<upper_right>(sums + amx_tile_rows, sum_bytes);
    if constexpr (lower) {
      tiles_.template store<lower_left>(below, sum_bytes);
      tiles_.template store<lower_right>(below + amx_tile_rows, sum_bytes);
    }
  }

  /// Fewer inner values than a tile takes are multiplied with zeros of the panel, but must not be read.
  LOWRANK_TILES void copy_rest(const PanelBlock& block, int64_t k) {
    const auto mask = static_cast<uint32_t>((uint64_t{1} << (block.inner - k)) - 1);
    for (int row = 0; row < block.rows; ++row)
      _mm512_store_si512(rest_ + row * step,
                         _mm512_maskz_loadu_epi16(mask, block.x + row * block.x_stride + k));
  }

  LOWRANK_TILES void write_rows(const PanelBlock& block) const {
    const __m512 left_bias = _mm512_loadu_ps(block.bias),
                 right_bias = _mm512_loadu_ps(block.bias + amx_tile_rows);
    for (int row = 0; row < block.rows; ++row) {
      const float* sums = results_ + row * bf16_panel_columns;
      const __m512 left = _mm512_add_ps(_mm512_load_ps(sums), left_bias);
      const __m512 right = _mm512_add_ps(_mm512_load_ps(sums + amx_tile_rows), right_bias);
      _mm512_mask_storeu_epi16(block.y + row * block.y_stride, block.columns,
                               reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(right, left)));
    }
  }

  Tiles tiles_;
  int configured_ = 0;
  alignas(64) float results_[rows * bf16_panel_columns];
  alignas(64) uint16_t rest_[rows * step];
};

}  // namespace lowrank
