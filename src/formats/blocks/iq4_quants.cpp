#include "formats/blocks/iq4_quants.h"

#include "formats/blocks/block_bytes.h"

namespace lowrank {
namespace {

constexpr int run_values = 32;

constexpr std::array<float, 16> steps{-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};

/// The 32 values of 16 bytes, times `scale`.
void expand_run(const std::byte* q, float scale, float* out) {
  const auto bytes = bytes_at<16>(q);
  std::array<float, run_values> values;
  for (int j = 0; j < 16; ++j) {
    values[j] = steps[bytes[j] & 15];
    values[j + 16] = steps[bytes[j] >> 4];
  }
  for (int j = 0; j < run_values; ++j) out[j] = scale * values[j];
}

}  // namespace

void expand_iq4_nl(const std::byte* block, float* out) {
  expand_run(block + 2, half_at(block), out);
}

void expand_iq4_xs(const std::byte* block, float* out) {
  const float d = half_at(block);
  const auto packed = bytes_at<6>(block + 2);
  const int high = packed[0] | (packed[1] << 8);
  for (int i = 0; i < 8; ++i) {
    const int low = (packed[2 + i / 2] >> (i % 2 * 4)) & 15;
    const int scale = (low | (((high >> (2 * i)) & 3) << 4)) - 32;
    expand_run(block + 8 + 16 * i, d * static_cast<float>(scale), out + run_values * i);
  }
}

}  // namespace lowrank
