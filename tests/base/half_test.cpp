#include "base/half.h"

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace lowrank {
namespace {

/// The value of half-precision bits by the standard's definition.
double half_value(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int mantissa = bits & 1023;
  const double size = exponent == 0    ? std::ldexp(mantissa, -24)
                      : exponent == 31 ? (mantissa ? NAN : INFINITY)
                                       : std::ldexp(1024 + mantissa, exponent - 25);
  return bits & 0x8000 ? -size : size;
}

TEST(Half, EveryF16PatternIsItsValueAndReturns) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = float_from_f16(half);
    const double expected = half_value(half);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value)) << bits;
      EXPECT_TRUE(std::isnan(float_from_f16(f16_from_float(value)))) << bits;
      EXPECT_EQ(std::signbit(value), (bits & 0x8000) != 0) << bits;
    } else {
      EXPECT_EQ(value, expected) << bits;
      EXPECT_EQ(std::signbit(value), std::signbit(expected)) << bits;
      EXPECT_EQ(f16_from_float(value), half);
    }
  }
}

TEST(Half, F16RoundsToNearestEven) {
  for (uint16_t half = 0; half < 0x7C00; ++half) {
    const double low = half_value(half);
    // For rounding, 65536 stands for infinity.
    const double high = half + 1 == 0x7C00 ? 65536.0 : half_value(static_cast<uint16_t>(half + 1));
    const auto middle = static_cast<float>((low + high) / 2);
    const uint16_t even = half % 2 == 0 ? half : half + 1;
    ASSERT_EQ(f16_from_float(middle), even) << middle;
    ASSERT_EQ(f16_from_float(-middle), even | 0x8000) << middle;
    ASSERT_EQ(f16_from_float(std::nextafter(middle, 0.0F)), half) << middle;
    ASSERT_EQ(f16_from_float(std::nextafter(middle, 1e9F)), half + 1) << middle;
  }
  EXPECT_EQ(f16_from_float(std::numeric_limits<float>::max()), 0x7C00);
  EXPECT_EQ(f16_from_float(-std::numeric_limits<float>::infinity()), 0xFC00);
  EXPECT_EQ(f16_from_float(std::numeric_limits<float>::denorm_min()), 0);
}

TEST(Half, Bf16RoundsToNearestEven) {
  std::mt19937 random(1);
  for (int i = 0; i < 100000; ++i) {
    const auto high = static_cast<uint16_t>(random());
    const float low_end = float_from_bf16(high);
    const uint16_t rounded = bf16_from_float(low_end);
    if (std::isnan(low_end)) {
      EXPECT_TRUE(std::isnan(float_from_bf16(rounded)));
      continue;
    }
    EXPECT_EQ(rounded, high);
    if (std::isinf(low_end)) continue;
    const auto with = [&](uint32_t low) { return std::bit_cast<float>(uint32_t{high} << 16 | low); };
    EXPECT_EQ(bf16_from_float(with(0x7FFF)), high);
    EXPECT_EQ(bf16_from_float(with(0x8000)), high % 2 == 0 ? high : high + 1);
    EXPECT_EQ(bf16_from_float(with(0x8001)), high + 1);
  }
  EXPECT_EQ(bf16_from_float(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_TRUE(std::isnan(float_from_bf16(bf16_from_float(std::bit_cast<float>(0x7F800001U)))));
}

}  // namespace
}  // namespace lowrank
