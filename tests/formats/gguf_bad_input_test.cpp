#include <chrono>
#include <random>

#include <gtest/gtest.h>

#include "formats/block_formats.h"
#include "formats/gguf.h"
#include "support/expect_error.h"
#include "support/gguf_bytes.h"
#include "support/places.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

using test::GgufBytes;

class GgufBadInput : public testing::Test {
 protected:
  void refuse(ErrorKind kind, const std::string& bytes, std::string_view part) {
    const auto path = folder_.write("bad.gguf", bytes);
    test::expect_error(kind, path.string(), part, [&] { GgufFile::open(path); });
  }
  void refuse(const std::string& bytes, std::string_view part) { refuse(ErrorKind::corrupt, bytes, part); }

  /// A file with one key, whose value is incomplete at the end of `bytes`.
  static GgufBytes one_key() { return GgufBytes(0, 1); }
  /// A file with one tensor of 32 f32 values.
  static std::string one_tensor(std::string_view name, const std::vector<uint64_t>& shape, uint32_t type,
                                uint64_t offset = 0) {
    return GgufBytes(1, 0).tensor(name, shape, type, offset).with_data(128);
  }

  test::TemporaryFolder folder_;
};

TEST_F(GgufBadInput, Head) {
  refuse("", "ends at byte 0");
  refuse("GGU", "magic number");
  refuse("GGML" + std::string(40, '\0'), "not a GGUF file");
  refuse("GGUF", "the version");
  for (const uint32_t version : {0U, 1U, 4U, 0xFFFFFFFFU}) {
    refuse(ErrorKind::unsupported, GgufBytes(0, 0, version).bytes(), fmt::format("version {}", version));
  }
  refuse(ErrorKind::unsupported, GgufBytes(0, 0, 0x03000000).bytes(), "big-endian");
  refuse(ErrorKind::unsupported, GgufBytes(0, 0, 0x02000000).bytes(), "big-endian");
  refuse(GgufBytes(0, UINT64_MAX).with_data(1000), "18446744073709551615 keys");
  refuse(GgufBytes(UINT64_MAX, 0).with_data(1000), "18446744073709551615 tensors");
  refuse(GgufBytes(1 << 19, 0).with_data(32 << 20), "524288 tensors");
  refuse(GgufBytes(0, 1 << 17).with_data(13 << 20), "131072 keys");
}

TEST_F(GgufBadInput, Keys) {
  refuse(one_key().put<uint64_t>(uint64_t{1} << 63).with_data(100), "a string of 9223372036854775808 bytes");
  refuse(one_key().put<uint64_t>(UINT64_MAX).with_data(100), "a string of 18446744073709551615 bytes");
  refuse(one_key().text("").put<uint32_t>(0).with_data(100), "a key of 0 bytes");
  refuse(one_key().text(std::string(70000, 'k')).put<uint32_t>(0).with_data(100), "a key of 70000 bytes");
  refuse(one_key().text("k").put<uint32_t>(13).with_data(100), "the key \"k\" has the unknown type 13");
  refuse(one_key().text("k").put<uint32_t>(0xFFFFFFFF).with_data(100), "unknown type 4294967295");
  refuse(one_key().text("k\n\x1B[2J").put<uint32_t>(99).with_data(100), "\"k\\x0a\\x1b[2J\"");
  refuse(one_key().key("k", GgufBytes::boolean, uint8_t{2}).with_data(100), "neither true nor false");
  refuse(one_key().text("k").put<uint32_t>(GgufBytes::string).put(UINT64_MAX).with_data(9), "a string of");
  GgufBytes twice(0, 2);
  twice.key("k", GgufBytes::u8, uint8_t{1}).key("k", GgufBytes::u8, uint8_t{1});
  refuse(twice.with_data(0), "\"k\" stands twice");
}

TEST_F(GgufBadInput, Arrays) {
  refuse(one_key().array_of("k", GgufBytes::u8, UINT64_MAX).with_data(100), "ends beyond the file");
  refuse(one_key().array_of("k", GgufBytes::f64, uint64_t{1} << 61).with_data(100), "ends beyond the file");
  refuse(one_key().array_of("k", GgufBytes::string, uint64_t{1} << 40).with_data(100),
         "ends beyond the file");
  refuse(one_key().array_of("k", 77, 1).with_data(100), "the unknown type 77");
  refuse(one_key().array_of("k", GgufBytes::u8, (1 << 24) + 1).with_data(1 << 25), "more than 16777216");
  refuse(one_key().array_of("k", GgufBytes::u64, 1).put(UINT64_MAX).with_data(100), "18446744073709551615");
  GgufBytes nested = one_key();
  nested.text("k").put<uint32_t>(GgufBytes::array);
  for (int depth = 0; depth < 100000; ++depth) nested.put<uint32_t>(GgufBytes::array).put<uint64_t>(1);
  refuse(nested.with_data(100), "an array of the unsupported type 9");
}

TEST_F(GgufBadInput, Alignment) {
  const auto with = [](GgufBytes::Type type, auto number) {
    GgufBytes bytes(1, 1);
    bytes.key("general.alignment", type, number).tensor("t", {32}, 0, 0);
    return bytes.with_data(256);
  };
  EXPECT_NO_THROW(GgufFile::open(folder_.write("good.gguf", with(GgufBytes::u32, 32U))));
  for (const uint32_t alignment : {0U, 3U, 48U, 0x80000000U, 0xFFFFFFFFU}) {
    refuse(with(GgufBytes::u32, alignment), fmt::format("general.alignment {}", alignment));
  }
  refuse(with(GgufBytes::i32, 32), "general.alignment has the type 5");
  refuse(with(GgufBytes::u64, uint64_t{32}), "general.alignment has the type 10");
}

TEST_F(GgufBadInput, Tensors) {
  EXPECT_NO_THROW(GgufFile::open(folder_.write("good.gguf", one_tensor(std::string(63, 'n'), {32}, 0))));
  refuse(one_tensor(std::string(64, 'n'), {32}, 0), "name of 64 bytes");
  refuse(one_tensor("", {32}, 0), "name of 0 bytes");
  refuse(one_tensor("t", {}, 0), "0 dimensions");
  refuse(one_tensor("t", {2, 2, 2, 2, 2}, 0), "5 dimensions");
  refuse(one_tensor("t", {0}, 0), "a dimension of 0");
  refuse(one_tensor("t", {4, 0}, 0), "a dimension of 0");
  refuse(one_tensor("t", {INT64_MAX}, 0), "overflows");
  refuse(one_tensor("t", {uint64_t{1} << 63}, 0), "a dimension of 9223372036854775808");
  refuse(one_tensor("t", {uint64_t{1} << 32, uint64_t{1} << 32}, 0), "overflows");
  refuse(one_tensor("t", {16, 2}, 2), "whole blocks of Q4_0");
  refuse(one_tensor("t", {33}, 8), "whole blocks of Q8_0");
  refuse(ErrorKind::unsupported, one_tensor("t", {32}, 255), "unknown (255)");
  refuse(ErrorKind::unsupported, one_tensor("t", {32}, 0xFFFFFFFF), "unknown (4294967295)");
  refuse(ErrorKind::unsupported, one_tensor("t", {32}, 4), "unknown (4)");
  refuse(ErrorKind::unsupported, one_tensor("t", {256}, 15), "Q8_K (15); read are F64, F32");
  refuse(ErrorKind::unsupported, one_tensor("t", {256}, 41), "Q6_K, IQ4_NL, IQ4_XS");
  refuse(one_tensor("t", {128}, 12), "whole blocks of Q4_K");
  for (const uint32_t type : {16, 17, 18, 19, 21, 22, 29, 34, 35}) {
    refuse(one_tensor("rows.of.128", {128, 2}, type), "\"rows.of.128\": its rows do not fill whole blocks");
    refuse(one_tensor("no.bytes", {256, 1 << 20}, type), "\"no.bytes\" (");
  }
  refuse(one_tensor("t", {48}, 39), "\"t\": its rows do not fill whole blocks of MXFP4");
  refuse(one_tensor("t", {32}, 40), "\"t\": its rows do not fill whole blocks of NVFP4");
}

TEST_F(GgufBadInput, Places) {
  refuse(one_tensor("t", {33}, 0), "ends beyond the file");
  refuse(one_tensor("t", {32}, 0, 32), "ends beyond the file");
  refuse(one_tensor("t", {32}, 0, uint64_t{1} << 40), "ends beyond the file");
  refuse(one_tensor("t", {32}, 0, UINT64_MAX - 31), "ends beyond the file");
  refuse(one_tensor("t", {8}, 0, 8), "not aligned to 32");
  refuse(GgufBytes(1, 0).tensor("t", {8}, 0, 0).bytes(), "ends beyond the file");
  refuse(GgufBytes(2, 0).tensor("a", {16}, 0, 0).tensor("b", {16}, 0, 32).with_data(128), "overlaps");
  refuse(GgufBytes(2, 0).tensor("a", {16}, 0, 0).tensor("b", {16}, 0, 0).with_data(128), "overlaps");
  refuse(GgufBytes(2, 0).tensor("a", {8}, 0, 0).tensor("a", {8}, 0, 32).with_data(128), "\"a\" stands twice");
}

/// A file is read to the end of its last tensor, after which only padding may follow.
TEST_F(GgufBadInput, CutShortAnywhere) {
  const auto good = test::fixture("formats/blocks.gguf");
  const std::string whole = test::content_of(good);
  const auto refuse_cut = [&](size_t size) {
    const auto path = folder_.write("cut.gguf", whole.substr(0, size));
    EXPECT_THROW(GgufFile::open(path), Error) << size << " of " << whole.size();
  };
  for (size_t percent = 0; percent < 100; ++percent) refuse_cut(whole.size() * percent / 100);
  for (size_t size = 0; size < 1500; ++size) refuse_cut(size);
}

/// Bytes changed at random: an error, or a file all of whose parts can be read.
TEST_F(GgufBadInput, ChangedAtRandom) {
  const std::string whole = test::content_of(test::fixture("formats/blocks.gguf"));
  std::mt19937 random(7);
  int refused = 0;
  for (int run = 0; run < 4000; ++run) {
    std::string changed = whole;
    const size_t range = run % 4 == 0 ? whole.size() : 1900;
    for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips) {
      changed[random() % range] = static_cast<char>(random() % 3 == 0 ? 0xFF : random());
    }
    const auto path = folder_.write("changed.gguf", changed);
    try {
      const GgufFile file = GgufFile::open(path);
      for (const StoredTensor& tensor : file.tensors()) {
        if (!can_expand(tensor.dtype)) continue;
        std::vector<float> values(static_cast<size_t>(*element_count(tensor.shape)));
        expand(tensor.dtype, tensor.bytes, values);
      }
    } catch (const Error& error) {
      ++refused;
      const std::string message = error.what();
      ASSERT_NE(message.find(path.string()), std::string::npos) << message;
      ASSERT_LT(message.size(), 1000U);
    }
  }
  EXPECT_GT(refused, 1000);
  EXPECT_LT(refused, 4000);
}

}  // namespace
}  // namespace lowrank
