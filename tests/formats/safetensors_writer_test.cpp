#include "formats/safetensors_writer.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "formats/safetensors.h"
#include "support/expect_error.h"
#include "support/places.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

/// Tensors of several types with bytes 0, 1, 2, ...
std::vector<StoredTensor> some_tensors(std::vector<std::byte>& storage) {
  std::vector<StoredTensor> tensors{
      {"wide", DType::f64, {2}, {}},     {"base_model.model.x.lora_A.weight", DType::f32, {2, 3}, {}},
      {"scalar", DType::i64, {}, {}},    {"empty", DType::f16, {0, 5}, {}},
      {"ü\"\\\n", DType::bf16, {3}, {}}, {"flags", DType::boolean, {1}, {}}};
  storage.resize(16 + 24 + 8 + 6 + 1);
  for (size_t i = 0; i < storage.size(); ++i) storage[i] = static_cast<std::byte>(i);
  storage.back() = std::byte{1};
  size_t at = 0;
  for (StoredTensor& tensor : tensors) {
    const auto size = static_cast<size_t>(*byte_count(tensor.dtype, *element_count(tensor.shape)));
    tensor.bytes = std::span<const std::byte>(storage).subspan(at, size);
    at += size;
  }
  return tensors;
}

TEST(SafetensorsWriter, ReaderGivesItBack) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "a.safetensors";
  std::vector<std::byte> storage;
  const std::vector<StoredTensor> tensors = some_tensors(storage);
  const std::map<std::string, std::string> metadata{{"format", "pt"}, {"note", "ü\n"}};
  write_safetensors(path, tensors, metadata);
  const SafetensorsFile file = SafetensorsFile::open(path);
  EXPECT_EQ(file.metadata(), metadata);
  ASSERT_EQ(file.tensors().size(), tensors.size());
  for (const StoredTensor& tensor : tensors) {
    const StoredTensor* read = file.find(tensor.name);
    ASSERT_NE(read, nullptr) << tensor.name;
    EXPECT_EQ(read->dtype, tensor.dtype);
    EXPECT_EQ(read->shape, tensor.shape);
    EXPECT_TRUE(std::ranges::equal(read->bytes, tensor.bytes));
  }
  const auto data = fs::file_size(path) - storage.size();
  EXPECT_EQ(data % 8, 0U) << "the data begins aligned";
}

TEST(SafetensorsWriter, PiecesGiveTheSameFile) {
  const test::TemporaryFolder folder;
  std::vector<std::byte> storage;
  const std::vector<StoredTensor> tensors = some_tensors(storage);
  write_safetensors(folder.path() / "whole", tensors);
  SafetensorsWriter writer(folder.path() / "pieces", tensors);
  for (const std::byte& byte : storage) writer.append({&byte, 1});
  EXPECT_FALSE(fs::exists(folder.path() / "pieces"));
  writer.commit();
  EXPECT_EQ(test::content_of(folder.path() / "whole"), test::content_of(folder.path() / "pieces"));
}

/// The bytes of a file written by Python come back unchanged, including the header.
TEST(SafetensorsWriter, WritesAsThePythonPackage) {
  const test::TemporaryFolder folder;
  const fs::path original = test::fixture("formats/sharded/model-00001-of-00002.safetensors");
  const SafetensorsFile file = SafetensorsFile::open(original);
  write_safetensors(folder.path() / "a", file.tensors(), file.metadata());
  EXPECT_EQ(test::content_of(folder.path() / "a"), test::content_of(original));
}

TEST(SafetensorsWriter, RefusesWhatTheFormatCannotHold) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "a";
  const auto refuse = [&](std::vector<StoredTensor> tensors, std::string_view part) {
    test::expect_error(ErrorKind::invalid, path.string(), part, [&] { SafetensorsWriter(path, tensors); });
  };
  refuse({{"t", DType::q4_0, {32}, {}}}, "Q4_0");
  refuse({{"t", DType::f32, {1}, {}}, {"t", DType::f32, {1}, {}}}, "\"t\" stands twice");
  refuse({{"t", DType::f32, {-1}, {}}}, "negative");
  refuse({{"t", DType::f32, {INT64_MAX, 2}, {}}}, "overflows");
  refuse({{"t", DType::u8, {INT64_MAX}, {}}, {"u", DType::u8, {1}, {}}}, "2^63");
  refuse({{"__metadata__", DType::f32, {1}, {}}}, "__metadata__");
  refuse({{"\xFF", DType::f32, {1}, {}}}, "not UTF-8");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(SafetensorsWriter, CountsTheBytes) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "a";
  const std::vector<StoredTensor> tensors{{"t", DType::f32, {1}, {}}};
  const std::vector<std::byte> bytes(5);
  test::expect_error(ErrorKind::invalid, path.string(), "more bytes",
                     [&] { SafetensorsWriter(path, tensors).append(bytes); });
  test::expect_error(ErrorKind::invalid, path.string(), "4 bytes short",
                     [&] { SafetensorsWriter(path, tensors).commit(); });
  test::expect_error(ErrorKind::invalid, path.string(), "comes with 0 bytes",
                     [&] { write_safetensors(path, tensors); });
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

/// Leaves a file for tests/interop/open_safetensors.py.
TEST(SafetensorsWriter, ForOtherReaders) {
  const char* path = std::getenv("LOWRANK_WRITE_SAFETENSORS");
  if (!path) GTEST_SKIP() << "LOWRANK_WRITE_SAFETENSORS names no file to write";
  std::vector<std::byte> storage;
  write_safetensors(path, some_tensors(storage), {{"format", "pt"}, {"note", "ü\n"}});
}

}  // namespace
}  // namespace lowrank
