#pragma once

// For .cu files only. Each format as a value of a block: bytes, and the value's place. Each product and sum
// is rounded, as the reference does: files that include this are compiled without fused operations.

#include <bit>
#include <cstdint>
#include <cuda_runtime.h>

#include "base/half.h"

namespace lowrank {

__device__ inline int word_at(const uint8_t* bytes) {
  return bytes[0] | bytes[1] << 8;
}
__device__ inline float half_value(const uint8_t* bytes) {
  return float_from_f16(static_cast<uint16_t>(word_at(bytes)));
}
/// The four bits of value i of 32: low halves of 16 bytes, then their high halves.
__device__ inline int nibble(const uint8_t* bytes, int i) {
  return bytes[i % 16] >> (i / 16 * 4) & 15;
}
/// The same with a fifth bit, that of value i in a word of 32.
__device__ inline int five_bits(const uint8_t* high, const uint8_t* low, int i) {
  return nibble(low, i) | (high[i / 8] >> (i % 8) & 1) << 4;
}
__device__ inline float number(int value) {
  return static_cast<float>(value);
}

struct Q4_0 {
  static constexpr int values = 32, bytes = 18;
  static __device__ float value(const uint8_t* block, int i) {
    return half_value(block) * number(nibble(block + 2, i) - 8);
  }
};

struct Q4_1 {
  static constexpr int values = 32, bytes = 20;
  static __device__ float value(const uint8_t* block, int i) {
    return half_value(block) * number(nibble(block + 4, i)) + half_value(block + 2);
  }
};

struct Q5_0 {
  static constexpr int values = 32, bytes = 22;
  static __device__ float value(const uint8_t* block, int i) {
    return half_value(block) * number(five_bits(block + 2, block + 6, i) - 16);
  }
};

struct Q5_1 {
  static constexpr int values = 32, bytes = 24;
  static __device__ float value(const uint8_t* block, int i) {
    return half_value(block) * number(five_bits(block + 4, block + 8, i)) + half_value(block + 2);
  }
};

struct Q8_0 {
  static constexpr int values = 32, bytes = 34;
  static __device__ float value(const uint8_t* block, int i) {
    return half_value(block) * number(static_cast<int8_t>(block[2 + i]));
  }
};

/// Two bits of value i of 256 in rows of 32: row r lies in bits 2 (r mod 4) of 32 bytes of half r / 4.
__device__ inline int two_bits(const uint8_t* bytes, int i) {
  return bytes[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
}

struct Q2_K {
  static constexpr int values = 256, bytes = 84;
  static __device__ float value(const uint8_t* block, int i) {
    const int packed = block[i / 16];
    const float scale = half_value(block + 80) * number(packed & 15);
    const float minimum = half_value(block + 82) * number(packed >> 4);
    return scale * number(two_bits(block + 16, i)) - minimum;
  }
};

struct Q3_K {
  static constexpr int values = 256, bytes = 110;
  static __device__ float value(const uint8_t* block, int i) {
    const uint8_t* packed = block + 96;
    const int run = i / 16;
    const int low = packed[run % 8] >> (run / 8 * 4) & 15, high = packed[8 + run % 4] >> (run / 4 * 2) & 3;
    const float scale = half_value(block + 108) * number((low | high << 4) - 32);
    const int third = block[i % 32] >> (i / 32) & 1;
    return scale * number(two_bits(block + 32, i) + third * 4 - 4);
  }
};

/// The scale and minimum of row `row` of Q4_K and Q5_K, times d and m.
struct SharedScale {
  float scale, minimum;
  __device__ SharedScale(const uint8_t* block, int row) {
    const uint8_t* packed = block + 4;
    int s = packed[row % 4], m = packed[row % 4 + 4];
    if (row < 4) {
      s &= 63;
      m &= 63;
    } else {
      const int low = packed[row + 4];
      s = (low & 15) | s >> 6 << 4;
      m = low >> 4 | m >> 6 << 4;
    }
    scale = half_value(block) * number(s);
    minimum = half_value(block + 2) * number(m);
  }
};

/// Four bits of value i of 256 in rows of 32: rows 2 h and 2 h + 1 are the halves of 32 bytes.
__device__ inline int four_bits(const uint8_t* bytes, int i) {
  return bytes[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;
}

struct Q4_K {
  static constexpr int values = 256, bytes = 144;
  static __device__ float value(const uint8_t* block, int i) {
    const SharedScale shared(block, i / 32);
    return shared.scale * number(four_bits(block + 16, i)) - shared.minimum;
  }
};

struct Q5_K {
  static constexpr int values = 256, bytes = 176;
  static __device__ float value(const uint8_t* block, int i) {
    const SharedScale shared(block, i / 32);
    const int fifth = block[16 + i % 32] >> (i / 32) & 1;
    return shared.scale * number(four_bits(block + 48, i) | fifth << 4) - shared.minimum;
  }
};

struct Q6_K {
  static constexpr int values = 256, bytes = 210;
  static __device__ float value(const uint8_t* block, int i) {
    const int row = i / 32, place = i % 32;
    const int low = block[row / 4 * 64 + row % 2 * 32 + place] >> (row % 4 / 2 * 4) & 15;
    const int high = block[128 + row / 4 * 32 + place] >> (row % 4 * 2) & 3;
    const float scale = half_value(block + 208) * number(static_cast<int8_t>(block[192 + i / 16]));
    return scale * number((low | high << 4) - 32);
  }
};

__device__ inline float iq4_step(int code) {
  constexpr int8_t steps[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  return number(steps[code]);
}

struct Iq4_Nl {
  static constexpr int values = 32, bytes = 18;
  static __device__ float value(const uint8_t* block, int i) {
    return half_value(block) * iq4_step(nibble(block + 2, i));
  }
};

struct Iq4_Xs {
  static constexpr int values = 256, bytes = 136;
  static __device__ float value(const uint8_t* block, int i) {
    const int run = i / 32;
    const int low = block[4 + run / 2] >> (run % 2 * 4) & 15, high = word_at(block + 2) >> (2 * run) & 3;
    const float scale = half_value(block) * number((low | high << 4) - 32);
    return scale * iq4_step(nibble(block + 8 + 16 * run, i % 32));
  }
};

struct Mxfp4 {
  static constexpr int values = 32, bytes = 17;
  static __device__ float value(const uint8_t* block, int i) {
    constexpr int8_t twice[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    const uint32_t e = block[0];
    // 2^(e - 128); of the two smallest, which are subnormal, the bits.
    const float half_scale = std::bit_cast<float>(e < 2 ? 0x00200000U << e : (e - 1) << 23);
    return half_scale * number(twice[nibble(block + 1, i)]);
  }
};

}  // namespace lowrank
