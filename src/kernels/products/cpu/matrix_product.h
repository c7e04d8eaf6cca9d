#pragma once

#include <cstdint>

namespace lowrank {

/// y = x w^T + bias of matrices of T (bf16 as bit patterns), summed in f32. Rows in memory are contiguous;
/// strides are from one row to the next.
template <class T>
struct MatrixProduct {
  const T* x = nullptr;  ///< [rows, inner]
  int64_t x_stride = 0;
  const T* w = nullptr;  ///< [outputs, inner], or [inner, outputs] if `transposed`
  int64_t w_stride = 0;
  bool transposed = false;
  const float* bias = nullptr;  ///< [outputs], or null
  T* y = nullptr;               ///< [rows, outputs]
  int64_t y_stride = 0;
  int64_t rows = 0;
  int64_t inner = 0;
  int64_t outputs = 0;
};

}  // namespace lowrank
