#include "formats/blocks/ternary_quants.h"

#include "formats/blocks/block_bytes.h"

namespace lowrank {
namespace {

/// Writes the first `digits` digits of each byte, less 1, times d: all first ones, then all second ones.
template <int digits, size_t count>
void put_digits(const std::array<uint8_t, count>& bytes, float d, float* out) {
  int power = 1;
  for (int i = 0; i < digits; ++i, power *= 3, out += count) {
    for (size_t j = 0; j < count; ++j) {
      const int rest = (bytes[j] * power) & 255;
      out[j] = d * static_cast<float>(((3 * rest) >> 8) - 1);
    }
  }
}

}  // namespace

void expand_tq1_0(const std::byte* block, float* out) {
  const float d = half_at(block + 52);
  put_digits<5>(bytes_at<32>(block), d, out);
  put_digits<5>(bytes_at<16>(block + 32), d, out + 160);
  put_digits<4>(bytes_at<4>(block + 48), d, out + 240);
}

void expand_tq2_0(const std::byte* block, float* out) {
  const auto q = bytes_at<64>(block);
  const float d = half_at(block + 64);
  for (int row = 0; row < 8; ++row, out += 32) {
    const uint8_t* bytes = q.data() + row / 4 * 32;
    for (int j = 0; j < 32; ++j) out[j] = d * static_cast<float>(((bytes[j] >> (row % 4 * 2)) & 3) - 1);
  }
}

}  // namespace lowrank
