#include "formats/quantise.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include <gtest/gtest.h>

#include "formats/block_formats.h"
#include "formats/gguf.h"
#include "support/expect_error.h"
#include "support/places.h"

namespace lowrank {
namespace {

std::vector<std::byte> quantised(DType type, std::span<const float> values) {
  std::vector<std::byte> bytes(static_cast<size_t>(*byte_count(type, std::ssize(values))));
  quantise(type, values, bytes);
  return bytes;
}

/// quantise.gguf holds a tensor source.CASE for each case, and CASE.TYPE for each type.
TEST(Quantise, EqualsThePythonPackageBitForBit) {
  const GgufFile file = GgufFile::open(test::fixture("formats/quantise.gguf"));
  std::map<DType, size_t> compared;
  for (const StoredTensor& expected : file.tensors()) {
    if (expected.name.starts_with("source.")) continue;
    SCOPED_TRACE(expected.name);
    const StoredTensor* source =
        file.find_tensor("source." + expected.name.substr(0, expected.name.find('.')));
    ASSERT_NE(source, nullptr);
    std::vector<float> values(static_cast<size_t>(*element_count(source->shape)));
    expand(source->dtype, source->bytes, values);
    const std::vector<std::byte> written = quantised(expected.dtype, values);
    ASSERT_EQ(written.size(), expected.bytes.size());
    const auto [ours, theirs] = std::ranges::mismatch(written, expected.bytes);
    EXPECT_EQ(ours, written.end()) << "byte " << ours - written.begin() << " is " << static_cast<int>(*ours)
                                   << " for " << static_cast<int>(*theirs);
    EXPECT_TRUE(std::ranges::equal(quantised(DType::f32, values), source->bytes));
    compared[expected.dtype] += values.size();
  }
  using enum DType;
  for (const DType type : {f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1}) EXPECT_GE(compared[type], 5000U);
}

TEST(Quantise, PiecesAndUnalignedTargetsGiveTheSame) {
  std::vector<float> values(256);
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
  using enum DType;
  for (const DType type : {f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1}) {
    const DTypeInfo& info = info_of(type);
    SCOPED_TRACE(info.name);
    EXPECT_TRUE(can_quantise(type));
    const std::vector<std::byte> whole = quantised(type, values);
    std::vector<std::byte> shifted(whole.size() + 1);
    const size_t first = whole.size() / 4;
    const auto target = std::span(shifted).subspan(1);
    quantise(type, std::span(values).first(64), target.first(first));
    quantise(type, std::span(values).subspan(64), target.subspan(first));
    EXPECT_TRUE(std::ranges::equal(target, whole));
    EXPECT_NO_THROW(quantise(type, {}, {}));
    // A value changes by half a step at most, and the scale by its rounding.
    std::vector<float> back(values.size());
    expand(type, whole, back);
    for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(back[i], values[i], 0.13);
  }
}

/// What the package leaves undefined is defined here: q is zero where 1/d overflows, -0 is below 0.
TEST(Quantise, SettlesWhatIsLeftToChance) {
  using enum DType;
  for (const DType type : {q8_0, q4_0, q4_1, q5_0, q5_1}) {
    std::vector<float> values(32, 1e-40F);
    values[3] = -1e-40F;
    std::vector<float> back(32);
    expand(type, quantised(type, values), back);
    EXPECT_TRUE(std::ranges::all_of(back, [](float value) { return value == 0; })) << info_of(type).name;
  }
  std::vector<float> zeros(32, 0.0F);
  zeros[31] = -0.0F;
  const std::vector<std::byte> bytes = quantised(q4_1, zeros);
  EXPECT_EQ(bytes[3], std::byte{0x80}) << "the minimum is -0";
}

TEST(Quantise, RefusesWhatDoesNotFit) {
  const auto refuse = [](DType type, std::vector<float> values, std::string_view part) {
    test::expect_error(ErrorKind::invalid, "", part, [&] { quantised(type, values); });
  };
  const auto with = [](float value) {
    std::vector<float> values(64, 1.0F);
    values[40] = value;
    return values;
  };
  using enum DType;
  for (const DType type : {f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1}) {
    for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) refuse(type, with(bad), "value 40 is");
  }
  refuse(f16, with(65520), "value 40, 65520, is too large for F16");
  EXPECT_NO_THROW(quantised(f16, with(65519)));
  refuse(bf16, with(std::numeric_limits<float>::max()), "too large for BF16");
  refuse(q4_0, with(-65520.0F * 8), "does not fit in f16");
  EXPECT_NO_THROW(quantised(q4_0, with(-65519.0F * 8)));
  refuse(q5_0, with(1e30F), "does not fit in f16");
  refuse(q8_0, with(65520.0F * 127), "does not fit in f16");
  refuse(q4_1, with(-65520), "does not fit in f16");
  refuse(q5_1, with(65530.0F * 31), "does not fit in f16");
  std::vector<float> widest(32, 3e38F);
  widest[0] = -3e38F;
  refuse(q4_1, widest, "does not fit in f16");
}

TEST(Quantise, RefusesSizesAndTypes) {
  const std::vector<float> values(64);
  std::vector<std::byte> bytes(512);
  const auto target = [&](size_t size) { return std::span(bytes).first(size); };
  EXPECT_THROW(quantise(DType::q8_0, std::span(values).first(31), target(34)), Error);
  EXPECT_THROW(quantise(DType::q8_0, std::span(values).first(32), target(33)), Error);
  EXPECT_THROW(quantise(DType::f32, std::span(values).first(1), target(8)), Error);
  for (const DType type : {DType::q4_k, DType::iq4_nl, DType::iq2_s, DType::mxfp4, DType::i8, DType::f64}) {
    EXPECT_FALSE(can_quantise(type));
    test::expect_error(ErrorKind::unsupported, info_of(type).name, "written are F32, F16, BF16, Q8_0",
                       [&] { quantise(type, values, bytes); });
  }
}

}  // namespace
}  // namespace lowrank
