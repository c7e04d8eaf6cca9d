#pragma once

#include <cstdint>

namespace lowrank {

/// Values in 4 bits: value i is codes[index i] * scales[i / block - first_block], with index i in the high
/// half of byte i / 2 if i is even, else in the low half.
struct Nf4Values {
  const uint8_t* packed;
  const float* codes;   ///< [16]
  const float* scales;  ///< from block `first_block` on
  int64_t first_block;
  int64_t block;
};

/// Writes values [begin, end) to `out`, as f32 or, rounded to nearest even, as the bits of bf16.
void expand_nf4_cpu(const Nf4Values& values, void* out, bool bf16, int64_t begin, int64_t end);

}  // namespace lowrank
