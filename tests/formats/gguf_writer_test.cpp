#include "formats/gguf_writer.h"

#include <algorithm>
#include <cstdlib>

#include <gtest/gtest.h>

#include "formats/block_formats.h"
#include "formats/quantise.h"
#include "support/expect_error.h"
#include "support/places.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

/// Tensors of several types and dimensions with bytes 0, 1, 2, ...
std::vector<StoredTensor> some_tensors(std::vector<std::byte>& storage) {
  std::vector<StoredTensor> tensors{{"norm", DType::f32, {5}, {}},    {"matrix", DType::q4_0, {3, 64}, {}},
                                    {"k", DType::q6_k, {1, 256}, {}}, {"four", DType::f16, {2, 1, 3, 5}, {}},
                                    {"ü", DType::bf16, {1}, {}},      {"wholes", DType::i32, {2, 2}, {}}};
  std::vector<size_t> sizes;
  for (const StoredTensor& tensor : tensors) {
    sizes.push_back(static_cast<size_t>(*byte_count(tensor.dtype, *element_count(tensor.shape))));
    storage.resize(storage.size() + sizes.back());
  }
  for (size_t i = 0; i < storage.size(); ++i) storage[i] = static_cast<std::byte>(i);
  size_t at = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    tensors[i].bytes = std::span<const std::byte>(storage).subspan(at, sizes[i]);
    at += sizes[i];
  }
  return tensors;
}

/// A key of every type.
GgufMetadata some_metadata() {
  GgufMetadata metadata;
  metadata.set_string("general.architecture", "written");
  metadata.set_number("n.u8", uint8_t{200});
  metadata.set_number("n.i8", int8_t{-100});
  metadata.set_number("n.u16", uint16_t{60000});
  metadata.set_number("n.i16", int16_t{-30000});
  metadata.set_number("n.u32", uint32_t{4000000000});
  metadata.set_number("n.i32", int32_t{-2000000000});
  metadata.set_number("n.u64", UINT64_MAX);
  metadata.set_number("n.i64", INT64_MIN);
  metadata.set_number("n.f32", 0.1F);
  metadata.set_number("n.f64", 0.1);
  metadata.set_bool("flag", true);
  metadata.set_string("text", "naïve 😀");
  metadata.set_strings("texts", std::vector<std::string>{"a", "", "ü"});
  metadata.set_numbers("wholes", std::span<const int32_t>(std::vector<int32_t>{1, -2, 3}));
  metadata.set_numbers("reals", std::span<const float>(std::vector<float>{0.5F, -0.25F}));
  return metadata;
}

void expect_same_entries(const std::vector<GgufEntry>& a, const std::vector<GgufEntry>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].key, b[i].key);
    EXPECT_EQ(a[i].type, b[i].type) << a[i].key;
    EXPECT_TRUE(std::ranges::equal(a[i].value, b[i].value)) << a[i].key;
  }
}

TEST(GgufWriter, ReaderGivesItBack) {
  const test::TemporaryFolder folder;
  for (const uint32_t alignment : {1U, 32U, 256U}) {
    std::vector<std::byte> storage;
    const std::vector<StoredTensor> tensors = some_tensors(storage);
    GgufMetadata metadata = some_metadata();
    metadata.set_number("general.alignment", alignment);
    write_gguf(folder.path() / "a.gguf", tensors, metadata);
    const GgufFile file = GgufFile::open(folder.path() / "a.gguf");
    EXPECT_EQ(file.get<int64_t>("n.i16"), -30000);
    EXPECT_EQ(file.get<double>("n.u64"), 0x1p64);
    EXPECT_EQ(file.get<double>("n.f32"), 0.1F);
    EXPECT_EQ(file.get<bool>("flag"), true);
    EXPECT_EQ(file.get<std::string>("text"), "naïve 😀");
    EXPECT_EQ(file.get<std::vector<std::string_view>>("texts"),
              (std::vector<std::string_view>{"a", "", "ü"}));
    EXPECT_EQ(file.get<std::vector<int64_t>>("wholes"), (std::vector<int64_t>{1, -2, 3}));
    EXPECT_EQ(file.get<std::vector<double>>("reals"), (std::vector<double>{0.5, -0.25}));
    ASSERT_EQ(file.tensors().size(), tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) {
      EXPECT_EQ(file.tensors()[i].name, tensors[i].name);
      EXPECT_EQ(file.tensors()[i].dtype, tensors[i].dtype);
      EXPECT_EQ(file.tensors()[i].shape, tensors[i].shape);
      EXPECT_TRUE(std::ranges::equal(file.tensors()[i].bytes, tensors[i].bytes)) << tensors[i].name;
    }
    // ggml also reads the padding after the last tensor.
    EXPECT_EQ(fs::file_size(folder.path() / "a.gguf") % alignment, 0U);
  }
}

/// Files written by Python come back with the same bytes, including keys and header.
TEST(GgufWriter, WritesAsThePythonPackage) {
  const test::TemporaryFolder folder;
  for (const char* name : {"formats/blocks.gguf", "formats/k_blocks.gguf", "formats/quantise.gguf"}) {
    const fs::path original = test::fixture(name);
    const GgufFile file = GgufFile::open(original);
    write_gguf(folder.path() / "a", file.tensors(), GgufMetadata(file));
    EXPECT_EQ(test::content_of(folder.path() / "a"), test::content_of(original)) << name;
    expect_same_entries(GgufFile::open(folder.path() / "a").metadata_entries(), file.metadata_entries());
  }
}

TEST(GgufWriter, PiecesGiveTheSameFile) {
  const test::TemporaryFolder folder;
  std::vector<std::byte> storage;
  const std::vector<StoredTensor> tensors = some_tensors(storage);
  write_gguf(folder.path() / "whole", tensors, some_metadata());
  GgufWriter writer(folder.path() / "pieces", tensors, some_metadata());
  for (const std::byte& byte : storage) {
    writer.append({&byte, 1});
    writer.append({});
  }
  EXPECT_FALSE(fs::exists(folder.path() / "pieces"));
  writer.commit();
  EXPECT_EQ(test::content_of(folder.path() / "whole"), test::content_of(folder.path() / "pieces"));
}

TEST(GgufWriter, WritesAFileWithoutTensors) {
  const test::TemporaryFolder folder;
  write_gguf(folder.path() / "a", {}, {});
  EXPECT_TRUE(GgufFile::open(folder.path() / "a").tensors().empty());
}

TEST(GgufMetadata, SetReplacesInItsPlace) {
  GgufMetadata metadata;
  metadata.set_string("a", "1");
  metadata.set_string("b", "2");
  metadata.set_number("a", uint32_t{7});
  ASSERT_EQ(metadata.entries().size(), 2U);
  EXPECT_EQ(metadata.entries()[0].key, "a");
  EXPECT_EQ(metadata.entries()[0].type, GgufType::u32);
  EXPECT_EQ(metadata.entries()[0].value, std::string("\7\0\0\0", 4));
  EXPECT_TRUE(metadata.remove("a"));
  EXPECT_FALSE(metadata.remove("a"));
  EXPECT_EQ(metadata.find("a"), nullptr);
  ASSERT_NE(metadata.find("b"), nullptr);
  test::expect_error(ErrorKind::invalid, "\"\"", "0 bytes", [&] { metadata.set_bool("", true); });
  test::expect_error(ErrorKind::invalid, "kkk", "65536 bytes",
                     [&] { metadata.set_bool(std::string(65536, 'k'), true); });
}

TEST(GgufWriter, RefusesWhatTheFormatCannotHold) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "a";
  const auto refuse = [&](std::vector<StoredTensor> tensors, std::string_view part) {
    test::expect_error(ErrorKind::invalid, path.string(), part, [&] { GgufWriter(path, tensors, {}); });
  };
  refuse({{"t", DType::u32, {32}, {}}}, "cannot hold the type U32");
  refuse({{"t", DType::f32, {1}, {}}, {"t", DType::f32, {1}, {}}}, "\"t\" stands twice");
  refuse({{"", DType::f32, {1}, {}}}, "name of 0 bytes");
  refuse({{std::string(64, 'n'), DType::f32, {1}, {}}}, "name of 64 bytes");
  refuse({{"t", DType::f32, {}, {}}}, "0 dimensions");
  refuse({{"t", DType::f32, {1, 1, 1, 1, 1}, {}}}, "5 dimensions");
  refuse({{"t", DType::f32, {2, 0}, {}}}, "a dimension below 1");
  refuse({{"t", DType::f32, {-1}, {}}}, "a dimension below 1");
  refuse({{"t", DType::f32, {INT64_MAX, 2}, {}}}, "overflows");
  refuse({{"t", DType::q8_0, {2, 16}, {}}}, "whole blocks of Q8_0");
  refuse({{"t", DType::q4_k, {1, 128}, {}}}, "whole blocks of Q4_K");
  refuse({{"t", DType::i8, {INT64_MAX}, {}}}, "2^63");
  refuse({{"t", DType::i8, {INT64_MAX - 31}, {}}, {"u", DType::i8, {INT64_MAX - 31}, {}}}, "2^63");
  for (const uint32_t alignment : {0U, 3U, 0x80000000U}) {
    GgufMetadata metadata;
    metadata.set_number("general.alignment", alignment);
    test::expect_error(ErrorKind::invalid, path.string(), "general.alignment",
                       [&] { GgufWriter(path, {}, metadata); });
  }
  GgufMetadata metadata;
  metadata.set_number("general.alignment", uint64_t{32});
  test::expect_error(ErrorKind::invalid, path.string(), "not a u32", [&] { GgufWriter(path, {}, metadata); });
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(GgufWriter, CountsTheBytes) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "a";
  const std::vector<StoredTensor> tensors{{"t", DType::f32, {1}, {}}, {"u", DType::f32, {1}, {}}};
  const std::vector<std::byte> bytes(8);
  const auto refuse = [&](std::string_view part, auto action) {
    test::expect_error(ErrorKind::invalid, path.string(), part, action);
  };
  const auto some = [&](size_t count) { return std::span(bytes).first(count); };
  refuse("\"t\" lacks 4 bytes", [&] { GgufWriter(path, tensors, {}).append(bytes); });
  refuse("\"t\" is 4 bytes short", [&] { GgufWriter(path, tensors, {}).commit(); });
  refuse("\"t\" lacks 1 bytes of its type and shape, and 4 came", [&] {
    GgufWriter writer(path, tensors, {});
    writer.append(some(3));
    writer.append(some(4));
  });
  refuse("\"u\" is 3 bytes short", [&] {
    GgufWriter writer(path, tensors, {});
    writer.append(some(4));
    writer.append(some(1));
    writer.commit();
  });
  refuse("1 bytes after the last tensor", [&] {
    GgufWriter writer(path, tensors, {});
    writer.append(some(4));
    writer.append(some(4));
    writer.append(some(1));
  });
  refuse("comes with 0 bytes", [&] { write_gguf(path, tensors, {}); });
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

/// Leaves a file for tests/interop/open_gguf.py.
TEST(GgufWriter, ForOtherReaders) {
  const char* path = std::getenv("LOWRANK_WRITE_GGUF");
  if (!path) GTEST_SKIP() << "LOWRANK_WRITE_GGUF names no file to write";
  std::vector<std::byte> storage;
  write_gguf(path, some_tensors(storage), some_metadata());
}

/// Writes the model LOWRANK_COPY_GGUF again with all keys, its tensors in the type with the number
/// LOWRANK_COPY_TYPE if rows fill whole blocks, else in F32; tests/interop/open_gguf.py compares the two.
TEST(GgufWriter, CopyForOtherReaders) {
  const char* source = std::getenv("LOWRANK_COPY_GGUF");
  const char* path = std::getenv("LOWRANK_WRITE_GGUF");
  const char* number = std::getenv("LOWRANK_COPY_TYPE");
  if (!source || !path || !number) GTEST_SKIP() << "LOWRANK_COPY_GGUF names no model to copy";
  const GgufFile file = GgufFile::open(source);
  const DType wanted = dtype_of_gguf(std::stoll(number)).value();
  std::vector<StoredTensor> tensors = file.tensors();
  for (StoredTensor& tensor : tensors) {
    tensor.dtype = tensor.shape.back() % info_of(wanted).block == 0 ? wanted : DType::f32;
  }
  GgufWriter writer(path, tensors, GgufMetadata(file));
  for (size_t i = 0; i < tensors.size(); ++i) {
    const StoredTensor& from = file.tensors()[i];
    const int64_t columns = from.shape.back();
    const int64_t rows = *element_count(from.shape) / columns;
    const size_t row_bytes = from.bytes.size() / static_cast<size_t>(rows);
    std::vector<float> values(static_cast<size_t>(columns));
    std::vector<std::byte> bytes(static_cast<size_t>(*byte_count(tensors[i].dtype, columns)));
    for (int64_t row = 0; row < rows; ++row) {
      expand(from.dtype, from.bytes.subspan(static_cast<size_t>(row) * row_bytes, row_bytes), values);
      quantise(tensors[i].dtype, values, bytes);
      writer.append(bytes);
    }
  }
  writer.commit();
}

}  // namespace
}  // namespace lowrank
