#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <optional>
#include <span>

namespace lowrank {

/// The index of the first value that is NaN or infinite; nothing if all are finite. In that usual case the
/// pass costs little compared with writing the values.
inline std::optional<size_t> first_not_finite(std::span<const float> values) {
  constexpr uint32_t exponent = 0x7F800000U;
  uint32_t largest = 0;
  // A maximum of integers, not a search: a loop that can end early does not vectorise.
  for (const float value : values) {
    const uint32_t bits = std::bit_cast<uint32_t>(value) & exponent;
    largest = bits > largest ? bits : largest;
  }
  if (largest < exponent) return std::nullopt;
  return std::ranges::find_if(values, [](float value) { return !std::isfinite(value); }) - values.begin();
}

}  // namespace lowrank
