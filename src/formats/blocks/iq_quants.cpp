#include "formats/blocks/iq_quants.h"

#include <algorithm>

#include "formats/blocks/block_bytes.h"
#include "formats/blocks/iq_grids.h"

namespace lowrank {
namespace {

constexpr int group_values = 8;
constexpr int groups = 32;

using Group = std::array<float, group_values>;

/// scale (point + shift).
void put_shifted(const Group& point, float shift, float scale, float* out) {
  Group values;
  for (int j = 0; j < group_values; ++j) values[j] = scale * (point[j] + shift);
  std::ranges::copy(values, out);
}

/// scale point, with signs.
void put_signed(const Group& point, uint8_t signs, float scale, float* out) {
  const Group& sign = iq_signs[signs];
  Group values;
  for (int j = 0; j < group_values; ++j) values[j] = scale * point[j] * sign[j];
  std::ranges::copy(values, out);
}

/// The same with a group of two points.
void put_signed(const GridPoint4& first, const GridPoint4& second, uint8_t signs, float scale, float* out) {
  const Group& sign = iq_signs[signs];
  Group values;
  for (int j = 0; j < 4; ++j) values[j] = scale * first[j] * sign[j];
  for (int j = 0; j < 4; ++j) values[j + 4] = scale * second[j] * sign[j + 4];
  std::ranges::copy(values, out);
}

float as_float(uint32_t small) {
  return static_cast<float>(static_cast<int>(small));
}

/// By whether it is negative. A branch would be mispredicted every other time.
constexpr std::array<float, 2> shifts{0.125F, -0.125F};

/// Signs j of four times 7 bits.
uint8_t even_signs(uint32_t packed, int j) {
  return iq_even_signs[(packed >> (7 * j)) & 127];
}

/// Number i of half bytes, the low half of a byte first.
uint32_t half_byte(const uint8_t* bytes, int i) {
  return (static_cast<uint32_t>(bytes[i / 2]) >> (i % 2 * 4)) & 15;
}

}  // namespace

void expand_iq1_s(const std::byte* block, float* out) {
  const auto grid = iq1_grid();
  const float d = half_at(block);
  const auto low = bytes_at<groups>(block + 2);
  for (int g = 0; g < groups; ++g, out += group_values) {
    const uint32_t packed = number_at<uint16_t>(block + 34 + g / 4 * 2);
    const uint32_t high = (packed >> (3 * (g % 4))) & 7;
    const float scale = d * as_float(2 * ((packed >> 12) & 7) + 1);
    put_shifted(grid[low[g] | (high << 8)], shifts[packed >> 15], scale, out);
  }
}

void expand_iq1_m(const std::byte* block, float* out) {
  const auto grid = iq1_grid();
  const auto low = bytes_at<groups>(block);
  const auto high = bytes_at<groups / 2>(block + 32);
  std::array<uint16_t, 4> packed;
  std::memcpy(packed.data(), block + 48, sizeof packed);
  int bits = 0;
  for (int i = 0; i < 4; ++i) bits |= (packed[i] >> 12) << (4 * i);
  const float d = float_from_f16(static_cast<uint16_t>(bits));
  for (int g = 0; g < groups; ++g, out += group_values) {
    const uint32_t s = (packed[g / 8] >> (g % 8 / 2 * 3)) & 7;
    const uint32_t more = half_byte(high.data(), g);
    put_shifted(grid[low[g] | ((more & 7) << 8)], shifts[more >> 3], d * as_float(2 * s + 1), out);
  }
}

void expand_iq2_xxs(const std::byte* block, float* out) {
  const auto grid = iq2_xxs_grid();
  const float d = half_at(block);
  for (int i = 0; i < groups / 4; ++i) {
    const auto number = bytes_at<4>(block + 2 + 8 * i);
    const auto packed = number_at<uint32_t>(block + 6 + 8 * i);
    const float scale = d * (0.5F + as_float(packed >> 28)) * 0.25F;
    for (int j = 0; j < 4; ++j, out += group_values) {
      put_signed(grid[number[j]], even_signs(packed, j), scale, out);
    }
  }
}

void expand_iq2_xs(const std::byte* block, float* out) {
  const auto grid = iq2_xs_grid();
  const float d = half_at(block);
  const auto scales = bytes_at<8>(block + 66);
  for (int g = 0; g < groups; ++g, out += group_values) {
    const uint32_t packed = number_at<uint16_t>(block + 2 + 2 * g);
    const float scale = d * (0.5F + as_float(half_byte(scales.data(), g / 2))) * 0.25F;
    put_signed(grid[packed & 511], iq_even_signs[packed >> 9], scale, out);
  }
}

void expand_iq2_s(const std::byte* block, float* out) {
  const auto grid = iq2_s_grid();
  const float d = half_at(block);
  const auto low = bytes_at<groups>(block + 2);
  const auto signs = bytes_at<groups>(block + 34);
  const auto high = bytes_at<8>(block + 66);
  const auto scales = bytes_at<8>(block + 74);
  for (int g = 0; g < groups; ++g, out += group_values) {
    const uint32_t number = low[g] | (((high[g / 4] >> (g % 4 * 2)) & 3U) << 8);
    const float scale = d * (0.5F + as_float(half_byte(scales.data(), g / 2))) * 0.25F;
    put_signed(grid[number], signs[g], scale, out);
  }
}

void expand_iq3_xxs(const std::byte* block, float* out) {
  const auto grid = iq3_xxs_grid();
  const float d = half_at(block);
  const auto number = bytes_at<2 * groups>(block + 2);
  for (int g = 0; g < groups; ++g, out += group_values) {
    const auto packed = number_at<uint32_t>(block + 66 + g / 4 * 4);
    const float scale = d * (0.5F + as_float(packed >> 28)) * 0.5F;
    put_signed(grid[number[2 * g]], grid[number[2 * g + 1]], even_signs(packed, g % 4), scale, out);
  }
}

void expand_iq3_s(const std::byte* block, float* out) {
  const auto grid = iq3_s_grid();
  const float d = half_at(block);
  const auto low = bytes_at<2 * groups>(block + 2);
  const auto high = bytes_at<8>(block + 66);
  const auto signs = bytes_at<groups>(block + 74);
  const auto scales = bytes_at<4>(block + 106);
  for (int g = 0; g < groups; ++g, out += group_values) {
    const uint32_t ninth = static_cast<uint32_t>(high[g / 4]) >> (g % 4 * 2);
    const uint32_t first = low[2 * g] | ((ninth & 1) << 8);
    const uint32_t second = low[2 * g + 1] | ((ninth & 2) << 7);
    const float scale = d * as_float(2 * half_byte(scales.data(), g / 4) + 1);
    put_signed(grid[first], grid[second], signs[g], scale, out);
  }
}

}  // namespace lowrank
