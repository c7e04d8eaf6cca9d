#include "formats/quantise.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/finite.h"
#include "base/half.h"
#include "formats/blocks/block_bytes.h"

namespace lowrank {
namespace {

constexpr int block_values = 32;
constexpr uint32_t sign_bit = 0x80000000U;

/// The numbers of one block, in the order of the values.
using Quants = std::array<uint8_t, block_values>;

/// Maps the bits of a float to an integer with the same order, and back: integer reductions vectorise, float
/// reductions do not.
int32_t ordered(int32_t bits) {
  return bits ^ ((bits >> 31) & 0x7FFFFFFF);
}

float largest_size(const float* x) {
  uint32_t largest = 0;
  for (int j = 0; j < block_values; ++j) {
    const uint32_t size = std::bit_cast<uint32_t>(x[j]) & ~sign_bit;
    largest = size > largest ? size : largest;
  }
  return std::bit_cast<float>(largest);
}

/// The first value of largest magnitude, with its sign.
float first_of_largest_size(const float* x) {
  const float size = largest_size(x);
  return *std::find_if(x, x + block_values, [&](float value) { return std::fabs(value) == size; });
}

struct Range {
  float least, most;
};

Range range_of(const float* x) {
  int32_t least = INT32_MAX;
  int32_t most = INT32_MIN;
  for (int j = 0; j < block_values; ++j) {
    const int32_t key = ordered(std::bit_cast<int32_t>(x[j]));
    least = key < least ? key : least;
    most = key > most ? key : most;
  }
  return {std::bit_cast<float>(ordered(least)), std::bit_cast<float>(ordered(most))};
}

float inverse(float d) {
  const float result = d == 0 ? 0.0F : 1.0F / d;
  return std::isinf(result) ? 0.0F : result;
}

/// trunc((x - from) * scale + offset), at most `top`.
Quants rounded(const float* x, float from, float scale, float offset, int top) {
  Quants q;
  for (int j = 0; j < block_values; ++j) {
    const int value = static_cast<int>((x[j] - from) * scale + offset);
    q[j] = static_cast<uint8_t>(value > top ? top : value);
  }
  return q;
}

/// The low 4 bits: value j in the low half of byte j, value j + 16 in the high half.
void put_nibbles(const Quants& q, std::byte* out) {
  for (int j = 0; j < 16; ++j) out[j] = static_cast<std::byte>((q[j] & 0x0F) | (q[j + 16] << 4));
}

/// Bit 4 of value j is bit j of a little-endian word.
void put_fifth_bits(const Quants& q, std::byte* out) {
  uint32_t word = 0;
  for (int j = 0; j < block_values; ++j) word |= static_cast<uint32_t>(q[j] >> 4) << j;
  std::memcpy(out, &word, sizeof word);
}

void quantise_q4_0(const float* x, std::byte* out) {
  const float d = first_of_largest_size(x) / -8.0F;
  put_half(d, out);
  put_nibbles(rounded(x, 0.0F, inverse(d), 8.5F, 15), out + 2);
}

void quantise_q4_1(const float* x, std::byte* out) {
  const Range range = range_of(x);
  const float d = (range.most - range.least) / 15.0F;
  put_half(d, out);
  put_half(range.least, out + 2);
  put_nibbles(rounded(x, range.least, inverse(d), 0.5F, 15), out + 4);
}

void quantise_q5_0(const float* x, std::byte* out) {
  const float d = first_of_largest_size(x) / -16.0F;
  put_half(d, out);
  const Quants q = rounded(x, 0.0F, inverse(d), 16.5F, 31);
  put_fifth_bits(q, out + 2);
  put_nibbles(q, out + 6);
}

void quantise_q5_1(const float* x, std::byte* out) {
  const Range range = range_of(x);
  const float d = (range.most - range.least) / 31.0F;
  put_half(d, out);
  put_half(range.least, out + 2);
  const Quants q = rounded(x, range.least, inverse(d), 0.5F, 31);
  put_fifth_bits(q, out + 4);
  put_nibbles(q, out + 8);
}

void quantise_q8_0(const float* x, std::byte* out) {
  const float d = largest_size(x) / 127.0F;
  put_half(d, out);
  const float scale = inverse(d);
  for (int j = 0; j < block_values; ++j) {
    const float scaled = x[j] * scale;
    const float size = std::fabs(scaled);
    const int whole = static_cast<int>(size);
    // Round halves away from zero.
    const int nearest = whole + static_cast<int>(2.0F * (size - static_cast<float>(whole)));
    out[2 + j] = static_cast<std::byte>(scaled < 0 ? -nearest : nearest);
  }
}

void check_finite(DType dtype, std::span<const float> values) {
  const std::optional<size_t> bad = first_not_finite(values);
  if (!bad) return;
  fail(ErrorKind::invalid, "value {} is {}; {} tensors are written from finite numbers only", *bad,
       values[*bad], info_of(dtype).name);
}

/// Writes 16-bit floats, in which infinite values have all bits of `exponent` set.
template <uint16_t (*from_float)(float), uint16_t exponent>
void convert(DType dtype, std::span<const float> values, std::byte* out) {
  // Counted, not searched for: a loop that can end early does not vectorise.
  size_t infinite = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = from_float(values[i]);
    infinite += (bits & exponent) == exponent ? 1 : 0;
    std::memcpy(out + i * sizeof bits, &bits, sizeof bits);
  }
  if (infinite == 0) return;
  const auto bad =
      std::ranges::find_if(values, [](float value) { return (from_float(value) & exponent) == exponent; });
  fail(ErrorKind::invalid, "value {}, {}, is too large for {}", bad - values.begin(), *bad,
       info_of(dtype).name);
}

template <void (*one)(const float*, std::byte*)>
void quantise_blocks(DType dtype, std::span<const float> values, std::byte* out) {
  const int stride = info_of(dtype).block_bytes;
  for (size_t i = 0; i < values.size(); i += block_values, out += stride) one(values.data() + i, out);
}

struct Written {
  DType dtype;
  void (*write)(DType dtype, std::span<const float> values, std::byte* out);
};

void copy(DType, std::span<const float> values, std::byte* out) {
  if (!values.empty()) std::memcpy(out, values.data(), values.size_bytes());
}

constexpr std::array<Written, 8> written{{
    {DType::f32, copy},
    {DType::f16, convert<f16_from_float, 0x7C00>},
    {DType::bf16, convert<bf16_from_float, 0x7F80>},
    {DType::q8_0, quantise_blocks<quantise_q8_0>},
    {DType::q4_0, quantise_blocks<quantise_q4_0>},
    {DType::q4_1, quantise_blocks<quantise_q4_1>},
    {DType::q5_0, quantise_blocks<quantise_q5_0>},
    {DType::q5_1, quantise_blocks<quantise_q5_1>},
}};

const Written* way_to_write(DType dtype) {
  const auto* found = std::ranges::find(written, dtype, &Written::dtype);
  return found == written.end() ? nullptr : found;
}

std::string names_of_written() {
  std::string names;
  for (const Written& type : written) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", info_of(type.dtype).name);
  }
  return names;
}

}  // namespace

bool can_quantise(DType dtype) {
  return way_to_write(dtype) != nullptr;
}

void quantise(DType dtype, std::span<const float> values, std::span<std::byte> out) {
  const Written* type = way_to_write(dtype);
  if (!type) {
    fail(ErrorKind::unsupported, "values cannot be written as {}; written are {}", info_of(dtype).name,
         names_of_written());
  }
  const auto expected = byte_count(dtype, std::ssize(values));
  check(expected && *expected == std::ssize(out), ErrorKind::invalid,
        "{} values do not fill {} bytes of {} in whole blocks", values.size(), out.size(),
        info_of(dtype).name);
  check_finite(dtype, values);
  type->write(dtype, values, out.data());
}

}  // namespace lowrank
