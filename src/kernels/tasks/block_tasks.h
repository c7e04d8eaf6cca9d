#pragma once

#include <cstdint>

#include "formats/dtype.h"

namespace lowrank {

/// Rows of a stored matrix in a block format, as f32 or bf16, with the bits of `expand` and `expand_bf16`
/// (formats/block_formats.h).
struct ExpandBlocks {
  const uint8_t* blocks;  ///< [rows, row_bytes]
  void* out;              ///< [rows, columns]
  int64_t columns, row_bytes;
  DType dtype;
  bool bf16;
};

/// True for the formats that devices' kernels of ExpandBlocks read.
constexpr bool has_block_kernel(DType dtype) {
  using enum DType;
  return (dtype >= q4_0 && dtype <= iq4_xs) || dtype == mxfp4;
}

/// Values [first, first + values) in NF4 with double quantisation, as f32 or bf16, with the bits of
/// `expand_nf4` (kernels/products/nf4.h); each is a row of its own.
struct ExpandNf4 {
  const uint8_t *packed, *scale_indices;
  const float* scale_scales;
  const float* scale_code;  ///< [256], dynamic_map
  float offset;
  int64_t first;
  void* out;
  bool bf16;
};

}  // namespace lowrank
