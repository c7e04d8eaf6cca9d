#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "formats/dtype.h"

namespace lowrank {

/// Rows of a stored matrix as they lie in a file: each `row_bytes` long, one behind the other, in whole
/// blocks.
struct BlockRows {
  DType dtype = DType::f32;
  const std::byte* data = nullptr;  ///< may be unaligned; must outlive the product
  int64_t rows = 0;
  int64_t row_bytes = 0;
  /// The output that each stored row computes, where files store rows in another order; empty: its own
  /// number.
  std::vector<int32_t> places = {};
};

/// A matrix W [out, in] whose rows are those of its parts, one part below the other.
struct BlockMatrix {
  std::vector<BlockRows> parts;
  int64_t out = 0, in = 0;

  int64_t bytes() const {
    int64_t sum = 0;
    for (const BlockRows& part : parts) sum += part.rows * part.row_bytes;
    return sum;
  }
};

}  // namespace lowrank
