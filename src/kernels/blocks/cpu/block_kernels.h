#pragma once

#include <cstdint>

#include "kernels/blocks/block_matrix.h"

namespace lowrank {

/// 32 values of an input rounded to 8 bits: x_i ~ scale values_i.
struct alignas(16) ActivationBlock {
  int8_t values[32];
  float scale;
  float sum;        ///< of scale values_i
  float halves[2];  ///< the sums of the first and the last 16
};

/// Rows of an input in blocks of 32 values: tiles of up to `BlockKernels::most_rows` rows one behind the
/// other; in a tile, the blocks of all its rows, then their next ones.
struct BlockInputs {
  const ActivationBlock* blocks = nullptr;
  int64_t rows = 0;
  int64_t row_blocks = 0;
};

/// Some rows of a matrix times an input.
struct BlockTask {
  const BlockRows* part = nullptr;
  int64_t first_group = 0, last_group = 0;  ///< of `BlockKernels::lanes` stored rows each
  BlockInputs x;
  const float* bias = nullptr;  ///< of the part's first output; null: none
  void* y = nullptr;            ///< at the part's first output, f32 or bf16
  int64_t y_stride = 0;
  bool bf16 = false;
};

/// The kernels for one level of processors.
struct BlockKernels {
  int64_t lanes = 0, most_rows = 0;
  bool (*knows)(DType dtype) = nullptr;
  /// Rounds rows [first, last) of one tile that has `rows` rows; `x` is the tile's first row, f32 or bf16.
  void (*round)(const void* x, bool bf16, int64_t x_stride, int64_t first, int64_t last, int64_t rows,
                int64_t columns, ActivationBlock* tile) = nullptr;
  void (*multiply)(const BlockTask& task) = nullptr;
};

/// The kernels with 16 rows in a vector and dot products of 4 int8 (AVX512-VNNI), and with 8 rows (AVX2).
const BlockKernels& block_kernels_avx512vnni();
const BlockKernels& block_kernels_avx2();

}  // namespace lowrank
