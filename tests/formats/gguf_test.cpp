#include "formats/gguf.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/gguf_bytes.h"
#include "support/places.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

using test::GgufBytes;

TEST(Gguf, ReadsWhatThePythonPackageWrote) {
  const GgufFile file = GgufFile::open(test::fixture("formats/blocks.gguf"));
  EXPECT_EQ(file.get<std::string>("general.architecture"), "fixture");
  EXPECT_EQ(file.get<int64_t>("test.u8"), 200);
  EXPECT_EQ(file.get<int64_t>("test.i8"), -100);
  EXPECT_EQ(file.get<int64_t>("test.u16"), 60000);
  EXPECT_EQ(file.get<int64_t>("test.i16"), -30000);
  EXPECT_EQ(file.get<int64_t>("test.u32"), 4000000000);
  EXPECT_EQ(file.get<int64_t>("test.i32"), -2000000000);
  EXPECT_EQ(file.get<int64_t>("test.i64"), INT64_MIN);
  EXPECT_EQ(file.get<double>("test.f32"), 0.1F);
  EXPECT_EQ(file.get<double>("test.f64"), 0.1);
  EXPECT_EQ(file.get<double>("test.u8"), 200.0);
  EXPECT_EQ(file.get<bool>("test.true"), true);
  EXPECT_EQ(file.get<std::string>("test.text"), "naïve 😀");
  using Strings = std::vector<std::string_view>;
  EXPECT_EQ(file.get<Strings>("test.strings"), (Strings{"a", "", "ü", "<|im_end|>"}));
  EXPECT_EQ(file.get<std::vector<int64_t>>("test.wholes"), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(file.get<std::vector<double>>("test.reals"), (std::vector<double>{0.5, -0.25}));
  EXPECT_EQ(file.find<int64_t>("test.absent"), std::nullopt);

  EXPECT_EQ(file.tensors().size(), 14U);
  const StoredTensor* tensor = file.find_tensor("normal.Q4_1");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->dtype, DType::q4_1);
  EXPECT_EQ(tensor->shape, (std::vector<int64_t>{3, 96}));
  EXPECT_EQ(tensor->bytes.size(), 3U * 96 / 32 * 20);
  EXPECT_EQ(file.find_tensor("normal.F64")->dtype, DType::f64);
  EXPECT_EQ(file.find_tensor("absent"), nullptr);
}

TEST(Gguf, TypesOfKeysAreHeldAgainstTheQuestion) {
  const auto path = test::fixture("formats/blocks.gguf");
  const GgufFile file = GgufFile::open(path);
  const auto refuse = [&](std::string_view part, auto ask) {
    test::expect_error(ErrorKind::invalid, path.string(), part, ask);
  };
  refuse("\"test.u64\"", [&] { file.get<int64_t>("test.u64"); });
  refuse("\"test.text\"", [&] { file.get<int64_t>("test.text"); });
  refuse("\"test.u8\"", [&] { file.find<std::string>("test.u8"); });
  refuse("\"test.u8\"", [&] { file.find<bool>("test.u8"); });
  refuse("\"test.f32\"", [&] { file.find<int64_t>("test.f32"); });
  refuse("\"test.strings\"", [&] { file.find<std::vector<int64_t>>("test.strings"); });
  refuse("\"test.absent\" is missing", [&] { file.get<int64_t>("test.absent"); });
}

TEST(Gguf, ReadsVersion2OtherAlignmentsAndAnyOrder) {
  const test::TemporaryFolder folder;
  GgufBytes bytes(2, 1, 2);
  bytes.key("general.alignment", GgufBytes::u32, 64U);
  bytes.tensor("second", {2, 3}, 0, 64).tensor("first", {5}, 1, 0);
  GgufFile file = GgufFile::open(folder.write("a.gguf", bytes.with_data(64 + 24, 64)));
  const GgufFile moved = std::move(file);
  EXPECT_EQ(moved.tensors()[0].name, "first");
  EXPECT_EQ(moved.find_tensor("second")->shape, (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(moved.find_tensor("second")->bytes.size(), 24U);
}

/// Keys in file order, with type numbers and the bytes as stored.
TEST(Gguf, GivesTheKeysAsTheyStand) {
  const test::TemporaryFolder folder;
  GgufBytes bytes(0, 3);
  bytes.key("z", GgufBytes::u16, uint16_t{0x3132}).key("a", "text");
  bytes.array_of("m", GgufBytes::i8, 2).put<int8_t>(7).put<int8_t>(-1);
  const GgufFile file = GgufFile::open(folder.write("a.gguf", bytes.bytes()));
  const auto& entries = file.metadata_entries();
  ASSERT_EQ(entries.size(), 3U);
  const auto content = [&](size_t i) {
    return std::string(reinterpret_cast<const char*>(entries[i].value.data()), entries[i].value.size());
  };
  EXPECT_EQ(entries[0].key, "z");
  EXPECT_EQ(entries[0].type, GgufType::u16);
  EXPECT_EQ(content(0), "21");
  EXPECT_EQ(entries[1].type, GgufType::text);
  EXPECT_EQ(content(1), std::string("\4\0\0\0\0\0\0\0text", 12));
  EXPECT_EQ(entries[2].key, "m");
  EXPECT_EQ(entries[2].type, GgufType::list);
  EXPECT_EQ(content(2), std::string("\1\0\0\0\2\0\0\0\0\0\0\0\7\xFF", 14));
}

TEST(Gguf, ReadsAFileWithoutTensors) {
  const test::TemporaryFolder folder;
  EXPECT_TRUE(GgufFile::open(folder.write("a.gguf", GgufBytes(0, 0).bytes())).tensors().empty());
}

TEST(Gguf, ReadsTheRealModel) {
  const auto model = test::real_model();
  if (!model) GTEST_SKIP() << "LOWRANK_MODEL names no file";
  const GgufFile file = GgufFile::open(*model);
  EXPECT_EQ(file.get<std::string>("general.architecture"), "llama");
  EXPECT_EQ(file.get<int64_t>("llama.block_count"), 30);
  EXPECT_EQ(file.get<std::vector<std::string_view>>("tokenizer.ggml.tokens").size(), 49152U);
  EXPECT_EQ(file.find_tensor("token_embd.weight")->shape, (std::vector<int64_t>{49152, 576}));
  EXPECT_EQ(file.find_tensor("blk.29.ffn_down.weight")->shape, (std::vector<int64_t>{576, 1536}));
}

}  // namespace
}  // namespace lowrank
