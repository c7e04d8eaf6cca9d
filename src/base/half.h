#pragma once

#include <bit>
#include <cstdint>

namespace lowrank {

/// bf16 bits of a value, rounded to nearest even; NaN stays NaN.
constexpr uint16_t bf16_from_float(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t nan = (bits >> 16) | 0x40U;
  const uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
  return static_cast<uint16_t>((bits & 0x7FFFFFFFU) > 0x7F800000U ? nan : rounded);
}

/// The value of bf16 bits; exact.
constexpr float float_from_bf16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// IEEE half-precision bits of a value, rounded to nearest even; infinite from 65520 on; NaN stays NaN.
constexpr uint16_t f16_from_float(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000U;
  const uint32_t rest = bits & 0x7FFFFFFFU;
  uint32_t half = 0;
  if (rest > 0x7F800000U) {
    half = 0x7E00U | ((rest >> 13) & 0x3FFU);
  } else if (rest >= 0x47800000U) {
    half = 0x7C00U;
  } else if (rest < 0x38800000U) {
    // From 0.5 to 1 floats are 2^-24 apart, as subnormal halves are: the addition does the rounding.
    half = std::bit_cast<uint32_t>(std::bit_cast<float>(rest) + 0.5F) - 0x3F000000U;
  } else {
    half = (rest - 0x38000000U + 0xFFFU + ((rest >> 13) & 1U)) >> 13;
  }
  return static_cast<uint16_t>(sign | half);
}

/// The value of IEEE half-precision bits; exact, even if the processor flushes subnormal floats to zero.
constexpr float float_from_f16(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
  const uint32_t rest = half & 0x7FFFU;
  const bool subnormal = rest < 0x0400U;
  // A subnormal half m 2^-24 is made as 2^-14 (1 + m 2^-10) - 2^-14. Selecting the operands, not the results,
  // lets compilers vectorise this.
  const uint32_t bias = subnormal ? 0x38800000U : (rest >= 0x7C00U ? 0x70000000U : 0x38000000U);
  const float value = std::bit_cast<float>((rest << 13) + bias) - (subnormal ? 0x1p-14F : 0.0F);
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(value));
}

}  // namespace lowrank
