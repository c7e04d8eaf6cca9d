#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "base/half.h"

namespace lowrank {

/// A little-endian number at any address.
template <typename T>
T number_at(const std::byte* bytes) {
  T number;
  std::memcpy(&number, bytes, sizeof number);
  return number;
}

/// The value of two bytes that hold an f16, at any address.
inline float half_at(const std::byte* bytes) {
  return float_from_f16(number_at<uint16_t>(bytes));
}

/// Writes a block's scale as f16 and returns it as it is then read. Errors: invalid when it becomes infinite.
inline float put_half(float value, std::byte* out) {
  const uint16_t bits = f16_from_float(value);
  check((bits & 0x7C00U) != 0x7C00U, ErrorKind::invalid,
        "values so large that the scale {} of their block does not fit in f16", value);
  std::memcpy(out, &bits, sizeof bits);
  return float_from_f16(bits);
}

/// A copy of `count` bytes as numbers. Loops over a local array vectorise: bytes behind a pointer could alias
/// the floats that are written.
template <size_t count>
std::array<uint8_t, count> bytes_at(const std::byte* bytes) {
  std::array<uint8_t, count> values;
  std::memcpy(values.data(), bytes, count);
  return values;
}

}  // namespace lowrank
