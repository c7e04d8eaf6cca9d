#include "formats/gguf_split.h"

#include <gtest/gtest.h>

#include "formats/block_formats.h"
#include "formats/gguf.h"
#include "formats/gguf_metadata.h"
#include "support/expect_error.h"
#include "support/gguf_bytes.h"
#include "support/places.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;
using test::GgufBytes;

std::string part_name(int part, int parts = 3) {
  return fmt::format("model-{:05}-of-{:05}.gguf", part, parts);
}

/// Any part opens the whole of what the Python package split.
TEST(GgufSplit, AnyPartOpensAllParts) {
  const fs::path folder = test::fixture("formats/split");
  for (int part = 1; part <= 3; ++part) {
    const GgufFile file = GgufFile::open(folder / part_name(part));
    EXPECT_EQ(file.part_count(), 3U);
    EXPECT_EQ(file.path(), folder / part_name(1));
    EXPECT_EQ(file.get<std::string>("test.text"), "first part");
    ASSERT_EQ(file.tensors().size(), 5U);
    for (int i = 0; i < 5; ++i) {
      const StoredTensor* tensor = file.find_tensor(fmt::format("t{}", i));
      ASSERT_EQ(tensor, &file.tensors()[static_cast<size_t>(i)]);
      EXPECT_EQ(tensor->shape, (std::vector<int64_t>{i + 1, 8}));
      std::vector<float> values(static_cast<size_t>(8 * (i + 1)));
      expand(tensor->dtype, tensor->bytes, values);
      for (const float value : values) EXPECT_EQ(value, static_cast<float>(i));
    }
  }
}

TEST(GgufSplit, TheJoinedModelHasNoKeysOfASplitOne) {
  const GgufMetadata metadata(GgufFile::open(test::fixture("formats/split") / part_name(2)));
  EXPECT_NE(metadata.find("test.text"), nullptr);
  for (const GgufMetadata::Entry& entry : metadata.entries()) EXPECT_FALSE(entry.key.starts_with("split."));
}

/// llama-gguf-split leaves split.count 0 in what it merges.
TEST(GgufSplit, OnePartOrNoneIsAModelOfItsOwn) {
  const test::TemporaryFolder folder;
  for (const uint16_t count : {0, 1}) {
    GgufBytes bytes(0, 1);
    bytes.key("split.count", GgufBytes::u16, count);
    const GgufFile file = GgufFile::open(folder.write("any-name.gguf", bytes.bytes()));
    EXPECT_EQ(file.part_count(), 1U);
    EXPECT_EQ(GgufMetadata(file).entries().size(), 1U) << "a single file's keys are kept";
  }
}

class GgufSplitBadInput : public testing::Test {
 protected:
  /// A part with one tensor of the given name.
  static std::string part(uint16_t number, uint16_t count, int32_t tensors, std::string_view tensor) {
    GgufBytes bytes(1, 3);
    bytes.key("split.no", GgufBytes::u16, number);
    bytes.key("split.count", GgufBytes::u16, count);
    bytes.key("split.tensors.count", GgufBytes::i32, tensors);
    return bytes.tensor(tensor, {8}, 0, 0).with_data(32);
  }
  void SetUp() override {
    folder_.write(part_name(1), part(0, 3, 3, "a"));
    folder_.write(part_name(2), part(1, 3, 3, "b"));
    folder_.write(part_name(3), part(2, 3, 3, "c"));
  }
  void refuse(ErrorKind kind, int opened, const std::string& named, std::string_view message) {
    test::expect_error(kind, (folder_.path() / named).string(), message,
                       [&] { GgufFile::open(folder_.path() / part_name(opened)); });
  }

  test::TemporaryFolder folder_;
};

TEST_F(GgufSplitBadInput, MissingParts) {
  EXPECT_EQ(GgufFile::open(folder_.path() / part_name(3)).tensors().size(), 3U);
  fs::remove(folder_.path() / part_name(2));
  refuse(ErrorKind::not_found, 1, part_name(1), "3 parts one is missing: \"" + part_name(2) + "\"");
  fs::remove(folder_.path() / part_name(1));
  refuse(ErrorKind::not_found, 3, part_name(3),
         "3 parts 2 are missing: \"" + part_name(1) + "\", \"" + part_name(2) + "\"");
  const auto first = folder_.write(part_name(1, 65535), part(0, 65535, 3, "a"));
  test::expect_error(ErrorKind::not_found, first.string(), "model-00004-of-65535.gguf\" and 65531 more",
                     [&] { GgufFile::open(first); });
}

TEST_F(GgufSplitBadInput, CutParts) {
  const std::string whole = test::content_of(folder_.path() / part_name(2));
  for (size_t size = 0; size < whole.size(); ++size) {
    folder_.write(part_name(2), whole.substr(0, size));
    refuse(ErrorKind::corrupt, 1, part_name(2), "");
  }
}

TEST_F(GgufSplitBadInput, NamesThatDoNotFit) {
  const auto copied = folder_.path() / "renamed.gguf";
  fs::copy(folder_.path() / part_name(2), copied);
  test::expect_error(ErrorKind::invalid, copied.string(),
                     "part 2 of a model in 3 parts, whose name must end in", [&] { GgufFile::open(copied); });
  fs::copy(folder_.path() / part_name(2), folder_.path() / part_name(3),
           fs::copy_options::overwrite_existing);
  refuse(ErrorKind::invalid, 3, part_name(3), "-00002-of-00003.gguf");
  refuse(ErrorKind::corrupt, 1, part_name(3), "split.no is 1 where 2 is expected");
}

TEST_F(GgufSplitBadInput, CountsThatContradict) {
  folder_.write(part_name(2), part(1, 4, 3, "b"));
  refuse(ErrorKind::corrupt, 1, part_name(2), "split.count is 4 where 3 is expected");
  folder_.write(part_name(2), part(1, 3, 4, "b"));
  refuse(ErrorKind::corrupt, 1, part_name(2), "split.tensors.count is 4 where 3 is expected");
  folder_.write(part_name(2), part(1, 0, 3, "b"));
  refuse(ErrorKind::corrupt, 1, part_name(2), "split.no is 1 where split.count is 0");
  folder_.write(part_name(2), part(3, 3, 3, "b"));
  refuse(ErrorKind::corrupt, 2, part_name(2), "split.no is 3 where split.count is 3");
  folder_.write(part_name(2), part(1, 3, 3, "a"));
  refuse(ErrorKind::corrupt, 1, part_name(2), "tensor \"a\" stands twice");
  for (int i = 0; i < 3; ++i) {
    folder_.write(part_name(i + 1), part(static_cast<uint16_t>(i), 3, 5, fmt::format("t{}", i)));
  }
  refuse(ErrorKind::corrupt, 1, part_name(1), "split.tensors.count is 5, the model's 3 parts hold 3");
}

TEST_F(GgufSplitBadInput, KeysThatAreMissingOrOfAnotherType) {
  const auto only = [&](const GgufBytes& bytes) { folder_.write(part_name(2), bytes.bytes()); };
  only(GgufBytes(0, 1).key("split.count", GgufBytes::u16, uint16_t{3}));
  refuse(ErrorKind::invalid, 2, part_name(2), "\"split.no\" is missing");
  refuse(ErrorKind::invalid, 1, part_name(2), "\"split.no\" is missing");
  only(GgufBytes(0, 1).key("split.count", "three"));
  refuse(ErrorKind::invalid, 2, part_name(2), "\"split.count\" has an unexpected type");
  only(GgufBytes(0, 0));
  refuse(ErrorKind::invalid, 1, part_name(2), "is missing");
  GgufBytes many(0, 3);
  many.key("split.count", GgufBytes::i64, int64_t{1} << 40).key("split.no", GgufBytes::u8, uint8_t{1});
  only(many.key("split.tensors.count", GgufBytes::u8, uint8_t{1}));
  refuse(ErrorKind::corrupt, 2, part_name(2), "split.count is 1099511627776, more than 99999");
}

}  // namespace
}  // namespace lowrank
