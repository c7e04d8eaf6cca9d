#pragma once

#include <bit>
#include <cstdint>

namespace lowrank {

/// bf16 bits of a value, rounded to nearest even; NaN stays NaN.
inline uint16_t bf16_from_float(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<uint16_t>((bits >> 16) | 0x40U);
  return static_cast<uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

inline float float_from_bf16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// The value of IEEE half-precision bits; exact.
inline float float_from_f16(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
  const uint32_t rest = static_cast<uint32_t>(half & 0x7FFFU) << 13;
  if (rest >= 0x0F800000U) return std::bit_cast<float>(sign | rest | 0x70000000U);
  // Scaling by 2^112 moves the exponent bias and makes subnormals normal in one step.
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(std::bit_cast<float>(rest) * 0x1p112F));
}

}  // namespace lowrank
