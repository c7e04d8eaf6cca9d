#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace lowrank {

// What the formats IQ1 to IQ3 have in tables. A grid is a list of points; a stored number names one, whose
// coordinates are 8 or 4 neighbouring values before they are scaled. The format is defined by GGML
// (ggml-common.h), as the Python package `gguf` gives it.

using GridPoint8 = std::array<float, 8>;
using GridPoint4 = std::array<float, 4>;

// Each is expanded at its first use.

std::span<const GridPoint8> iq1_grid();      ///< 2048 points of coordinates -1, 0, 1
std::span<const GridPoint8> iq2_xxs_grid();  ///< 256 points of coordinates 8, 25, 43
std::span<const GridPoint8> iq2_xs_grid();   ///< 512 points of the same
std::span<const GridPoint8> iq2_s_grid();    ///< 1024 points of the same
std::span<const GridPoint4> iq3_xxs_grid();  ///< 256 points of coordinates 4, 12, 20, 28, 36, 44, 52, 62
std::span<const GridPoint4> iq3_s_grid();    ///< 512 points of coordinates 1, 3, 5, 7, 9, 11, 13, 15

/// The signs of 8 values, 1 or -1, by a byte whose bit j is set if value j is negative.
inline constexpr auto iq_signs = [] {
  std::array<std::array<float, 8>, 256> signs{};
  for (int byte = 0; byte < 256; ++byte) {
    for (int j = 0; j < 8; ++j) signs[byte][j] = (byte >> j) % 2 == 0 ? 1.0F : -1.0F;
  }
  return signs;
}();

/// The byte of 8 signs of which 7 are stored: the last makes the number of negative ones even.
inline constexpr auto iq_even_signs = [] {
  std::array<uint8_t, 128> bytes{};
  for (int stored = 0; stored < 128; ++stored) {
    int negative = 0;
    for (int j = 0; j < 7; ++j) negative += (stored >> j) % 2;
    bytes[stored] = static_cast<uint8_t>(stored + negative % 2 * 128);
  }
  return bytes;
}();

}  // namespace lowrank
