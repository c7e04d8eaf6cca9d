#pragma once

#include <cstdint>

namespace lowrank {

/// y = x w^T + bias of bf16 matrices (bit patterns), summed in f32 in the order of the inner index and
/// rounded once. Values that stand beside each other in a row of memory are adjacent; strides are those of
/// rows.
struct Bf16Product {
  const uint16_t* x = nullptr;  ///< [rows, inner]
  int64_t x_stride = 0;
  const uint16_t* w = nullptr;  ///< [outputs, inner], or [inner, outputs] where `transposed`
  int64_t w_stride = 0;
  bool transposed = false;
  const float* bias = nullptr;  ///< [outputs], or null
  uint16_t* y = nullptr;        ///< [rows, outputs]
  int64_t y_stride = 0;
  int64_t rows = 0;
  int64_t inner = 0;  ///< even
  int64_t outputs = 0;
};

/// Columns of y that are computed together.
inline constexpr int64_t bf16_panel_columns = 32;

/// True where the processor has the dot products of bf16 that this is made of (AVX512-BF16).
bool has_avx512bf16();

/// Rows [first_row, last_row) of the columns of the panels [first_panel, last_panel).
void bf16_product_avx512bf16(const Bf16Product& product, int64_t first_row, int64_t last_row,
                             int64_t first_panel, int64_t last_panel);

}  // namespace lowrank
