#include <random>

#include <gtest/gtest.h>

#include "formats/safetensors.h"
#include "support/expect_error.h"
#include "support/places.h"
#include "support/safetensors_bytes.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

using test::safetensors_bytes;

class SafetensorsBadInput : public testing::Test {
 protected:
  void refuse_file(const std::string& bytes, std::string_view part, ErrorKind kind = ErrorKind::corrupt) {
    SCOPED_TRACE(bytes.substr(0, 100));
    const auto path = folder_.write("bad.safetensors", bytes);
    test::expect_error(kind, path.string(), part, [&] { SafetensorsFile::open(path); });
  }
  void refuse(std::string_view header, std::string_view part, ErrorKind kind = ErrorKind::corrupt) {
    refuse_file(safetensors_bytes(header, "12345678"), part, kind);
  }
  /// One tensor "t", its object's text given.
  void refuse_tensor(const std::string& object, std::string_view part, ErrorKind kind = ErrorKind::corrupt) {
    refuse("{\"t\":" + object + "}", part, kind);
  }

  test::TemporaryFolder folder_;
};

TEST_F(SafetensorsBadInput, Frame) {
  refuse_file("", "0 bytes, too short");
  refuse_file("1234567", "7 bytes, too short");
  refuse_file(safetensors_bytes(""), "does not start with {");
  refuse_file(safetensors_bytes("{}", "", uint64_t{1} << 63), "9223372036854775808 bytes");
  refuse_file(safetensors_bytes("{}", "", 100'000'001), "header of 100000001 bytes");
  refuse_file(safetensors_bytes("{}", "", 3), "ends beyond the file's 10");
}

TEST_F(SafetensorsBadInput, Header) {
  using namespace std::string_literals;
  refuse("[]", "does not start with {");
  refuse(" {}", "does not start with {");
  refuse("{}x", "column");
  refuse("{}\0\0"s, "zero byte");
  refuse("{\"\xFF\":1}", "column");
  refuse("{", "column");
  refuse("{\"t\":1}", "needs dtype");
  refuse(R"({"__metadata__":{"a":1}})", "__metadata__ \"a\" must be a string");
  refuse(R"({"__metadata__":[]})", "__metadata__ must be an object");
  refuse(R"({"__metadata__":{},"__metadata__":{}})", "\"__metadata__\" stands twice");
  refuse(R"({"__metadata__":{"a":"","a":""}})", "\"a\" stands twice");
  refuse(
      R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})",
      "\"a\" stands twice");
  refuse("{\"t\":" + std::string(5'000'000, '['), "nested deeper than 3");
}

TEST_F(SafetensorsBadInput, Tensor) {
  refuse_tensor(R"({"dtype":"F64","shape":[1]})", "needs dtype, shape and data_offsets");
  refuse_tensor(R"({"dtype":"F64","shape":[1],"data_offsets":[0,8],"x":1})", "keys other than");
  refuse_tensor(R"({"dtype":1,"shape":[1],"data_offsets":[0,8]})", "dtype must be a string");
  refuse_tensor(R"({"dtype":"F99","shape":[1],"data_offsets":[0,8]})", "unknown dtype \"F99\"",
                ErrorKind::unsupported);
  refuse_tensor(R"({"dtype":"","shape":[1],"data_offsets":[0,8]})", "unknown dtype", ErrorKind::unsupported);
  refuse_tensor(R"({"dtype":"F64","shape":1,"data_offsets":[0,8]})", "shape must be an array");
  for (const char* extent : {"-1", "1.0", "1e0", "\"1\"", "null", "9223372036854775808"}) {
    refuse_tensor(R"({"dtype":"F64","shape":[)" + std::string(extent) + R"(],"data_offsets":[0,8]})",
                  "shape must hold whole numbers");
  }
  refuse_tensor(R"({"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,8]})", "overflows");
  refuse_tensor(R"({"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,8]})", "overflows");
  refuse_tensor(R"({"dtype":"F4","shape":[15],"data_offsets":[0,8]})", "whole bytes");
}

TEST_F(SafetensorsBadInput, Offsets) {
  const auto with = [&](const std::string& offsets, std::string_view part) {
    refuse_tensor(R"({"dtype":"F32","shape":[2],"data_offsets":)" + offsets + "}", part);
  };
  with("[0]", "must be two numbers");
  with("[0,8,8]", "must be two numbers");
  with("8", "must be two numbers");
  with("[-8,0]", "whole numbers");
  with("[0.0,8.0]", "whole numbers");
  with("[8,0]", "do not fit dtype and shape");
  with("[0,4]", "do not fit dtype and shape");
  with("[18446744073709551608,0]", "do not fit dtype and shape");
  with("[18446744073709551607,18446744073709551615]", "begins at data offset 18446744073709551607");
  with("[4,12]", "begins at data offset 4 where 0 is expected");
  refuse_tensor(R"({"dtype":"F32","shape":[4],"data_offsets":[0,16]})", "ends at data offset 16");
  refuse_tensor(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})", "4 bytes after the last tensor");
  refuse("{}", "8 bytes after the last tensor");
  refuse(
      R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},"b":{"dtype":"U8","shape":[5],"data_offsets":[3,8]}})",
      "begins at data offset 3 where 5 is expected");
  refuse(
      R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[3],"data_offsets":[5,8]}})",
      "begins at data offset 5 where 3 is expected");
}

TEST_F(SafetensorsBadInput, MillionsOfTensorsOnTheSameBytes) {
  std::string header = "{";
  for (int i = 0; i < 300000; ++i) {
    header += fmt::format(R"("{}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}},)", i);
  }
  header.back() = '}';
  refuse_file(safetensors_bytes(header), "more than 2000000 values");
}

TEST_F(SafetensorsBadInput, NamesDoNotBreakTheLine) {
  refuse("{\"" + std::string(100000, 'n') + "\":1}", "nnn...");
  refuse(R"({"a\nb\u001b[2J":1})", "\"a\\x0ab\\x1b[2J\"");
}

TEST_F(SafetensorsBadInput, CutShortOrChangedAtRandom) {
  const std::string whole = test::content_of(test::fixture("formats/tiny.safetensors"));
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto path = folder_.write("cut", whole.substr(0, size));
    EXPECT_THROW(SafetensorsFile::open(path), Error) << size;
  }
  std::mt19937 random(7);
  int refused = 0;
  for (int run = 0; run < 4000; ++run) {
    std::string changed = whole;
    for (int flips = 1 + static_cast<int>(random() % 3); flips > 0; --flips) {
      changed[random() % changed.size()] = static_cast<char>(random());
    }
    const auto path = folder_.write("changed", changed);
    try {
      size_t total = 0;
      const SafetensorsFile file = SafetensorsFile::open(path);
      for (const StoredTensor& tensor : file.tensors()) {
        for (const std::byte byte : tensor.bytes) total += static_cast<size_t>(byte);
      }
      EXPECT_LT(total, size_t{1} << 20);
    } catch (const Error& error) {
      ++refused;
      EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos) << error.what();
    }
  }
  EXPECT_GT(refused, 1000);
  EXPECT_LT(refused, 4000);
}

}  // namespace
}  // namespace lowrank
