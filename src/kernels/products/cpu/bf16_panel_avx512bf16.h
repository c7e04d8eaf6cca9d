#pragma once

#include <cstdint>

#include "kernels/core/cpu/avx512bf16.h"

namespace lowrank {

/// A part of a weight: `columns` <= 32 of its outputs, `inner` values of each.
struct WeightPart {
  const uint16_t* values = nullptr;
  int64_t stride = 0;       ///< of rows in memory
  bool transposed = false;  ///< rows are inner values rather than outputs
  int64_t columns = 0, inner = 0;
};

/// Writes the part as pairs: to[k / 2][column][k % 2] for 32 columns, missing ones as zeros, and zeros for
/// inner values up to a multiple of 32.
void lay_out_panel(const WeightPart& part, uint16_t* to);

}  // namespace lowrank
