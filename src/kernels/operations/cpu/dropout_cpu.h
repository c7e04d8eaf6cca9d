#pragma once

#include <cstdint>

namespace lowrank {

/// out[i] = in[i] * kept where draw i of Philox4x32-10 (key: the seed, counter: i / 4, lane i mod 4) is at
/// least `threshold`, else 0.
struct DropoutMask {
  uint64_t seed;
  uint32_t threshold;
  float kept;
};

/// Values [begin, end), begin a multiple of 4; bf16 values are given as their bits.
void dropout_cpu(const void* in, void* out, bool bf16, const DropoutMask& mask, int64_t begin, int64_t end);

}  // namespace lowrank
