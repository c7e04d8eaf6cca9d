#include "formats/blocks/fp4_quants.h"

#include <bit>

#include "formats/blocks/block_bytes.h"

namespace lowrank {
namespace {

/// Twice each E2M1; a negative zero is 0.
constexpr std::array<float, 16> twice_e2m1{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/// The values of `count` bytes, times `half_scale`.
template <size_t count>
void put_run(const std::byte* q, float half_scale, float* out) {
  const auto bytes = bytes_at<count>(q);
  std::array<float, 2 * count> values;
  for (size_t j = 0; j < count; ++j) {
    values[j] = twice_e2m1[bytes[j] & 15];
    values[j + count] = twice_e2m1[bytes[j] >> 4];
  }
  for (size_t j = 0; j < 2 * count; ++j) out[j] = half_scale * values[j];
}

/// 2^(e - 128); of the two smallest, which are subnormal, the bits.
float half_e8m0(uint32_t e) {
  return std::bit_cast<float>(e < 2 ? 0x00200000U << e : (e - 1) << 23);
}

/// Half an E4M3 without its sign.
float half_ue4m3(uint32_t bits) {
  const uint32_t exponent = (bits >> 3) & 15;
  const uint32_t mantissa = bits & 7;
  if (bits == 0x7F) return 0;
  if (exponent == 0) return static_cast<float>(static_cast<int>(mantissa)) * 0x1p-10F;
  return std::bit_cast<float>(((exponent + 119) << 23) | (mantissa << 20));
}

}  // namespace

void expand_mxfp4(const std::byte* block, float* out) {
  put_run<16>(block + 1, half_e8m0(number_at<uint8_t>(block)), out);
}

void expand_nvfp4(const std::byte* block, float* out) {
  const auto scales = bytes_at<4>(block);
  for (int i = 0; i < 4; ++i) put_run<8>(block + 4 + 8 * i, half_ue4m3(scales[i]), out + 16 * i);
}

}  // namespace lowrank
