#include "formats/block_formats.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/half.h"
#include "base/mmap_file.h"
#include "formats/gguf.h"
#include "support/places.h"

namespace lowrank {
namespace {

/// The same bits; for NaN only that both are NaN, since the payload is the processor's choice.
bool same(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) || std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

/// The fixture's tensors in the order in which the expected values were written (that of the bytes), and
/// these.
struct Fixture {
  explicit Fixture(const std::string& name)
      : file(GgufFile::open(test::fixture(name + ".gguf"))),
        expected_file(MmapFile::open(test::fixture(name + ".expected"))) {}

  GgufFile file;
  MmapFile expected_file;

  std::vector<float> expected() const {
    std::vector<float> values(expected_file.bytes().size() / sizeof(float));
    std::memcpy(values.data(), expected_file.bytes().data(), expected_file.bytes().size());
    return values;
  }
};

/// Number of values compared per type.
std::map<DType, size_t> compare_with_expected(const std::string& name) {
  const Fixture fixture(name);
  const std::vector<float> expected = fixture.expected();
  size_t at = 0;
  std::map<DType, size_t> compared;
  for (const StoredTensor& tensor : fixture.file.tensors()) {
    std::vector<float> values(static_cast<size_t>(*element_count(tensor.shape)));
    expand(tensor.dtype, tensor.bytes, values);
    std::vector<uint16_t> rounded(values.size());
    expand_bf16(tensor.dtype, tensor.bytes, rounded);
    if (at + values.size() > expected.size()) break;
    size_t wrong = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const float value = expected[at + i];
      if (same(values[i], value) &&
          same(float_from_bf16(rounded[i]), float_from_bf16(bf16_from_float(value))))
        continue;
      if (wrong++ == 0)
        ADD_FAILURE() << tensor.name << " value " << i << ": " << values[i] << " for " << value;
    }
    at += values.size();
    compared[tensor.dtype] += values.size();
  }
  EXPECT_EQ(at, expected.size());
  return compared;
}

TEST(BlockFormats, EqualThePythonPackageBitForBit) {
  std::map<DType, size_t> compared = compare_with_expected("formats/blocks");
  using enum DType;
  for (const DType type : {q4_0, q4_1, q5_0, q5_1, q8_0}) EXPECT_GE(compared[type], 2000U);
  for (const DType type : {f64, f32, f16, bf16}) EXPECT_GE(compared[type], 10U);
}

TEST(BlockFormats, KAndIq4FormatsEqualThePythonPackageBitForBit) {
  std::map<DType, size_t> compared = compare_with_expected("formats/k_blocks");
  using enum DType;
  for (const DType type : {q2_k, q3_k, q4_k, q5_k, q6_k, iq4_nl, iq4_xs}) EXPECT_GE(compared[type], 8000U);
}

/// Random bits, extreme scales, and each point of each grid.
TEST(BlockFormats, TernaryFp4AndGridFormatsEqualThePythonPackageBitForBit) {
  std::map<DType, size_t> compared = compare_with_expected("formats/more_blocks");
  using enum DType;
  for (const DType type : {iq1_m, tq1_0, tq2_0, mxfp4, nvfp4}) EXPECT_GE(compared[type], 2800U);
  const std::map<DType, size_t> points{{iq1_s, 2048 * 8}, {iq2_xxs, 256 * 8}, {iq2_xs, 512 * 8},
                                       {iq2_s, 1024 * 8}, {iq3_xxs, 256 * 4}, {iq3_s, 512 * 4}};
  for (const auto& [type, values] : points) EXPECT_EQ(compared[type], 2816U + values);
}

/// Any run of whole blocks, at any address, gives the same as the whole.
TEST(BlockFormats, PiecesAndUnalignedSourcesGiveTheSame) {
  std::mt19937 random(1);
  using enum DType;
  for (const DType type :
       {f64,    f32,    f16,   bf16,  q4_0,    q4_1,   q5_0,  q5_1,    q8_0,  q2_k,  q3_k,  q4_k,  q5_k, q6_k,
        iq4_nl, iq4_xs, iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s, tq1_0, tq2_0, mxfp4, nvfp4}) {
    const DTypeInfo& info = info_of(type);
    SCOPED_TRACE(info.name);
    constexpr size_t blocks = 37;
    std::vector<std::byte> source(blocks * info.block_bytes);
    for (std::byte& byte : source) byte = static_cast<std::byte>(random() & 0x3F);
    std::vector<float> whole(blocks * info.block);
    expand(type, source, whole);
    std::vector<uint16_t> whole_bf16(whole.size());
    expand_bf16(type, source, whole_bf16);
    std::vector<std::byte> shifted(source.size() + 1);
    std::memcpy(shifted.data() + 1, source.data(), source.size());
    for (const size_t from : {0UL, 1UL, 5UL, blocks}) {
      const auto bytes = std::span<const std::byte>(shifted).subspan(1 + from * info.block_bytes);
      std::vector<float> part((blocks - from) * info.block);
      expand(type, bytes, part);
      std::vector<uint16_t> part_bf16(part.size());
      expand_bf16(type, bytes, part_bf16);
      for (size_t i = 0; i < part.size(); ++i) {
        ASSERT_TRUE(same(part[i], whole[from * info.block + i]));
        ASSERT_EQ(part_bf16[i], whole_bf16[from * info.block + i]);
        ASSERT_EQ(part_bf16[i], bf16_from_float(part[i]));
      }
    }
  }
}

TEST(BlockFormats, RefusesSizesAndTypesThatDoNotFit) {
  std::array<std::byte, 64> bytes{};
  std::array<float, 64> out{};
  const auto source = [&](size_t n) { return std::span<const std::byte>(bytes).first(n); };
  const auto values = [&](size_t n) { return std::span<float>(out).first(n); };
  EXPECT_THROW(expand(DType::q8_0, source(34), values(31)), Error);
  EXPECT_THROW(expand(DType::q8_0, source(33), values(32)), Error);
  EXPECT_THROW(expand(DType::q4_0, source(18), values(64)), Error);
  EXPECT_THROW(expand(DType::f32, source(4), values(2)), Error);
  EXPECT_THROW(expand(DType::i32, source(4), values(1)), Error);
  std::array<uint16_t, 64> halves{};
  EXPECT_THROW(expand_bf16(DType::q4_0, source(18), halves), Error);
  EXPECT_THROW(expand_bf16(DType::boolean, source(64), halves), Error);
  EXPECT_NO_THROW(expand(DType::q8_0, {}, {}));
  EXPECT_NO_THROW(expand_bf16(DType::bf16, {}, {}));
  EXPECT_THROW(expand(DType::q4_k, source(18), values(32)), Error);
  EXPECT_TRUE(can_expand(DType::q5_1));
  EXPECT_THROW(expand(DType::nvfp4, source(36), values(32)), Error);
  EXPECT_THROW(expand(DType::iq2_xxs, source(64), values(64)), Error);
  EXPECT_TRUE(can_expand(DType::iq4_xs));
  EXPECT_TRUE(can_expand(DType::nvfp4));
  EXPECT_FALSE(can_expand(DType::u8));
  EXPECT_FALSE(can_expand(DType::f8_e4m3));
}

}  // namespace
}  // namespace lowrank
