#include "formats/block_formats.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "base/half.h"
#include "formats/blocks/block_bytes.h"
#include "formats/blocks/fp4_quants.h"
#include "formats/blocks/iq4_quants.h"
#include "formats/blocks/iq_quants.h"
#include "formats/blocks/k_quants.h"
#include "formats/blocks/ternary_quants.h"

namespace lowrank {
namespace {

constexpr int block_values = 32;

/// The 4-bit halves of 16 bytes: value j in the low half of byte j, value j + 16 in the high half.
std::array<uint8_t, block_values> nibbles(const std::byte* bytes) {
  std::array<uint8_t, block_values> values{};
  for (int j = 0; j < 16; ++j) {
    values[j] = static_cast<uint8_t>(bytes[j]) & 0x0F;
    values[j + 16] = static_cast<uint8_t>(bytes[j]) >> 4;
  }
  return values;
}

/// 1 << j. Testing bits against a table vectorises even where vectors lack shifts by different amounts per
/// lane.
constexpr auto bit_masks = [] {
  std::array<uint32_t, block_values> masks{};
  for (int j = 0; j < block_values; ++j) masks[j] = 1U << j;
  return masks;
}();

/// Nibbles with a fifth bit each: bit j of a little-endian word is that of value j.
std::array<int32_t, block_values> five_bits(const std::byte* high, const std::byte* low) {
  uint32_t word = 0;
  std::memcpy(&word, high, sizeof word);
  const auto low_bits = nibbles(low);
  std::array<int32_t, block_values> values;
  for (int j = 0; j < block_values; ++j) values[j] = low_bits[j] + ((word & bit_masks[j]) != 0 ? 16 : 0);
  return values;
}

void expand_q4_0(const std::byte* block, float* out) {
  const float d = half_at(block);
  const auto q = nibbles(block + 2);
  for (int j = 0; j < block_values; ++j) out[j] = d * static_cast<float>(static_cast<int>(q[j]) - 8);
}

void expand_q4_1(const std::byte* block, float* out) {
  const float d = half_at(block);
  const float m = half_at(block + 2);
  const auto q = nibbles(block + 4);
  for (int j = 0; j < block_values; ++j) out[j] = d * static_cast<float>(q[j]) + m;
}

void expand_q5_0(const std::byte* block, float* out) {
  const float d = half_at(block);
  const auto q = five_bits(block + 2, block + 6);
  for (int j = 0; j < block_values; ++j) out[j] = d * static_cast<float>(q[j] - 16);
}

void expand_q5_1(const std::byte* block, float* out) {
  const float d = half_at(block);
  const float m = half_at(block + 2);
  const auto q = five_bits(block + 4, block + 8);
  for (int j = 0; j < block_values; ++j) out[j] = d * static_cast<float>(q[j]) + m;
}

void expand_q8_0(const std::byte* block, float* out) {
  const float d = half_at(block);
  std::array<int8_t, block_values> q{};
  std::memcpy(q.data(), block + 2, q.size());
  for (int j = 0; j < block_values; ++j) out[j] = d * static_cast<float>(q[j]);
}

template <typename Stored, typename Convert>
void convert(const std::byte* source, std::span<float> out, Convert to_float) {
  for (size_t i = 0; i < out.size(); ++i) {
    Stored value;
    std::memcpy(&value, source + i * sizeof value, sizeof value);
    out[i] = to_float(value);
  }
}

template <void (*one)(const std::byte*, float*)>
void expand_blocks(const DTypeInfo& info, const std::byte* source, std::span<float> out) {
  for (size_t i = 0; i < out.size(); i += info.block, source += info.block_bytes) {
    one(source, out.data() + i);
  }
}

struct BlockFormat {
  DType dtype;
  void (*expand)(const DTypeInfo& info, const std::byte* source, std::span<float> out);
};

constexpr std::array<BlockFormat, 23> block_formats{{
    {DType::q4_0, expand_blocks<expand_q4_0>},       {DType::q4_1, expand_blocks<expand_q4_1>},
    {DType::q5_0, expand_blocks<expand_q5_0>},       {DType::q5_1, expand_blocks<expand_q5_1>},
    {DType::q8_0, expand_blocks<expand_q8_0>},       {DType::q2_k, expand_blocks<expand_q2_k>},
    {DType::q3_k, expand_blocks<expand_q3_k>},       {DType::q4_k, expand_blocks<expand_q4_k>},
    {DType::q5_k, expand_blocks<expand_q5_k>},       {DType::q6_k, expand_blocks<expand_q6_k>},
    {DType::iq4_nl, expand_blocks<expand_iq4_nl>},   {DType::iq4_xs, expand_blocks<expand_iq4_xs>},
    {DType::iq1_s, expand_blocks<expand_iq1_s>},     {DType::iq1_m, expand_blocks<expand_iq1_m>},
    {DType::iq2_xxs, expand_blocks<expand_iq2_xxs>}, {DType::iq2_xs, expand_blocks<expand_iq2_xs>},
    {DType::iq2_s, expand_blocks<expand_iq2_s>},     {DType::iq3_xxs, expand_blocks<expand_iq3_xxs>},
    {DType::iq3_s, expand_blocks<expand_iq3_s>},     {DType::tq1_0, expand_blocks<expand_tq1_0>},
    {DType::tq2_0, expand_blocks<expand_tq2_0>},     {DType::mxfp4, expand_blocks<expand_mxfp4>},
    {DType::nvfp4, expand_blocks<expand_nvfp4>},
}};

const BlockFormat* block_format(DType dtype) {
  const auto* found = std::ranges::find(block_formats, dtype, &BlockFormat::dtype);
  return found == block_formats.end() ? nullptr : found;
}

/// `expand` without the size check.
void expand_unchecked(DType dtype, const std::byte* source, std::span<float> out) {
  switch (dtype) {
    case DType::f64:
      return convert<double>(source, out, [](double v) { return static_cast<float>(v); });
    case DType::f32:
      if (!out.empty()) std::memcpy(out.data(), source, out.size_bytes());
      return;
    case DType::f16:
      return convert<uint16_t>(source, out, float_from_f16);
    case DType::bf16:
      return convert<uint16_t>(source, out, float_from_bf16);
    default:
      const BlockFormat* format = block_format(dtype);
      check(format != nullptr, ErrorKind::unsupported, "values of type {} cannot be read as numbers",
            info_of(dtype).name);
      format->expand(info_of(dtype), source, out);
  }
}

void check_size(DType dtype, size_t bytes, size_t values) {
  const auto expected = byte_count(dtype, static_cast<int64_t>(values));
  check(expected && *expected == static_cast<int64_t>(bytes), ErrorKind::invalid,
        "{} bytes cannot hold {} {} values", bytes, values, info_of(dtype).name);
}

}  // namespace

bool can_expand(DType dtype) {
  using enum DType;
  return dtype == f64 || dtype == f32 || dtype == f16 || dtype == bf16 || block_format(dtype) != nullptr;
}

void expand(DType dtype, std::span<const std::byte> source, std::span<float> out) {
  check_size(dtype, source.size(), out.size());
  expand_unchecked(dtype, source.data(), out);
}

void expand_bf16(DType dtype, std::span<const std::byte> source, std::span<uint16_t> out) {
  check_size(dtype, source.size(), out.size());
  if (dtype == DType::bf16) {
    if (!out.empty()) std::memcpy(out.data(), source.data(), out.size_bytes());
    return;
  }
  // Whole blocks of every format, few enough to stay in the first-level cache.
  std::array<float, 256> values;
  const DTypeInfo& info = info_of(dtype);
  for (size_t done = 0; done < out.size();) {
    const size_t count = std::min(values.size(), out.size() - done);
    expand_unchecked(dtype, source.data() + done / info.block * info.block_bytes, {values.data(), count});
    for (size_t i = 0; i < count; ++i) out[done + i] = bf16_from_float(values[i]);
    done += count;
  }
}

}  // namespace lowrank
