#include "formats/blocks/k_quants.h"

#include "formats/blocks/block_bytes.h"

namespace lowrank {
namespace {

constexpr int row_values = 32;
constexpr int rows = 8;

/// One float for each run of values.
template <size_t runs>
using Scales = std::array<float, runs>;

/// s and t of Q4_K and Q5_K, times d and m.
struct SharedScales {
  Scales<rows> scale;
  Scales<rows> minimum;
};

SharedScales shared_scales(const std::byte* block) {
  const float d = half_at(block);
  const float m = half_at(block + 2);
  const auto packed = bytes_at<12>(block + 4);
  SharedScales shared;
  for (int i = 0; i < 4; ++i) {
    const int s = packed[i];
    const int t = packed[i + 4];
    const int low = packed[i + 8];
    shared.scale[i] = d * static_cast<float>(s & 63);
    shared.minimum[i] = m * static_cast<float>(t & 63);
    shared.scale[i + 4] = d * static_cast<float>((low & 15) | ((s >> 6) << 4));
    shared.minimum[i + 4] = m * static_cast<float>((low >> 4) | ((t >> 6) << 4));
  }
  return shared;
}

/// d times the 16 scales of Q3_K.
Scales<16> q3_scales(const std::byte* packed, float d) {
  const auto bytes = bytes_at<12>(packed);
  Scales<16> scales;
  for (int i = 0; i < 16; ++i) {
    const int low = (bytes[i % 8] >> (i / 8 * 4)) & 15;
    const int high = (bytes[8 + i % 4] >> (i / 4 * 2)) & 3;
    scales[i] = d * static_cast<float>((low | (high << 4)) - 32);
  }
  return scales;
}

}  // namespace

void expand_q2_k(const std::byte* block, float* out) {
  const auto packed = bytes_at<16>(block);
  const auto q = bytes_at<64>(block + 16);
  const float d = half_at(block + 80);
  const float m = half_at(block + 82);
  Scales<16> scale;
  Scales<16> minimum;
  for (int i = 0; i < 16; ++i) {
    scale[i] = d * static_cast<float>(packed[i] & 15);
    minimum[i] = m * static_cast<float>(packed[i] >> 4);
  }
  for (int run = 0; run < 16; ++run, out += 16) {
    const int row = run / 2;
    const uint8_t* bytes = q.data() + row / 4 * row_values + run % 2 * 16;
    for (int j = 0; j < 16; ++j) {
      out[j] = scale[run] * static_cast<float>((bytes[j] >> (row % 4 * 2)) & 3) - minimum[run];
    }
  }
}

void expand_q3_k(const std::byte* block, float* out) {
  const auto high = bytes_at<32>(block);
  const auto low = bytes_at<64>(block + 32);
  const Scales<16> scale = q3_scales(block + 96, half_at(block + 108));
  for (int run = 0; run < 16; ++run, out += 16) {
    const int row = run / 2;
    const uint8_t* high_bytes = high.data() + run % 2 * 16;
    const uint8_t* low_bytes = low.data() + row / 4 * row_values + run % 2 * 16;
    for (int j = 0; j < 16; ++j) {
      const int q = ((low_bytes[j] >> (row % 4 * 2)) & 3) + ((high_bytes[j] >> row) & 1) * 4;
      out[j] = scale[run] * static_cast<float>(q - 4);
    }
  }
}

void expand_q4_k(const std::byte* block, float* out) {
  const SharedScales shared = shared_scales(block);
  const auto q = bytes_at<128>(block + 16);
  for (int row = 0; row < rows; ++row, out += row_values) {
    const uint8_t* bytes = q.data() + row / 2 * row_values;
    for (int j = 0; j < row_values; ++j) {
      out[j] = shared.scale[row] * static_cast<float>((bytes[j] >> (row % 2 * 4)) & 15) - shared.minimum[row];
    }
  }
}

void expand_q5_k(const std::byte* block, float* out) {
  const SharedScales shared = shared_scales(block);
  const auto high = bytes_at<32>(block + 16);
  const auto low = bytes_at<128>(block + 48);
  for (int row = 0; row < rows; ++row, out += row_values) {
    const uint8_t* bytes = low.data() + row / 2 * row_values;
    for (int j = 0; j < row_values; ++j) {
      const int q = ((bytes[j] >> (row % 2 * 4)) & 15) | (((high[j] >> row) & 1) << 4);
      out[j] = shared.scale[row] * static_cast<float>(q) - shared.minimum[row];
    }
  }
}

void expand_q6_k(const std::byte* block, float* out) {
  const auto low = bytes_at<128>(block);
  const auto high = bytes_at<64>(block + 128);
  const auto packed = bytes_at<16>(block + 192);
  const float d = half_at(block + 208);
  Scales<16> scale;
  for (int i = 0; i < 16; ++i) scale[i] = d * static_cast<float>(static_cast<int8_t>(packed[i]));
  for (int run = 0; run < 16; ++run, out += 16) {
    const int row = run / 2;
    const uint8_t* low_bytes = low.data() + row / 4 * 64 + row % 2 * row_values + run % 2 * 16;
    const uint8_t* high_bytes = high.data() + row / 4 * row_values + run % 2 * 16;
    for (int j = 0; j < 16; ++j) {
      const int q =
          ((low_bytes[j] >> (row % 4 / 2 * 4)) & 15) | (((high_bytes[j] >> (row % 4 * 2)) & 3) << 4);
      out[j] = scale[run] * static_cast<float>(q - 32);
    }
  }
}

}  // namespace lowrank
