#include "formats/safetensors.h"

#include <cstring>

#include <gtest/gtest.h>

#include "support/places.h"
#include "support/safetensors_bytes.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

TEST(Safetensors, ReadsWhatThePythonPackageWrote) {
  SafetensorsFile opened = SafetensorsFile::open(test::fixture("formats/tiny.safetensors"));
  const SafetensorsFile file = std::move(opened);
  EXPECT_EQ(file.tensors().size(), 5U);
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "np"}, {"ü", "ß"}}));
  const StoredTensor* matrix = file.find("matrix");
  ASSERT_NE(matrix, nullptr);
  EXPECT_EQ(matrix->dtype, DType::f32);
  EXPECT_EQ(matrix->shape, (std::vector<int64_t>{2, 3}));
  float values[6];
  ASSERT_EQ(matrix->bytes.size(), sizeof values);
  std::memcpy(values, matrix->bytes.data(), sizeof values);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(values[i], static_cast<float>(i));
  EXPECT_EQ(file.find("scalar")->dtype, DType::i64);
  EXPECT_TRUE(file.find("scalar")->shape.empty());
  EXPECT_EQ(file.find("empty")->shape, (std::vector<int64_t>{0, 4}));
  EXPECT_TRUE(file.find("empty")->bytes.empty());
  EXPECT_EQ(file.find("flags")->dtype, DType::boolean);
  EXPECT_EQ(file.find("absent"), nullptr);
}

TEST(Safetensors, ReadsWhatIsUnusualButValid) {
  const test::TemporaryFolder folder;
  const auto open = [&](std::string_view header, std::string_view data) {
    return SafetensorsFile::open(folder.write("a.safetensors", test::safetensors_bytes(header, data)));
  };
  EXPECT_TRUE(open("{}", "").tensors().empty());
  EXPECT_TRUE(open("{}      ", "").tensors().empty());
  EXPECT_TRUE(open(R"({"__metadata__":{}})", "").metadata().empty());
  EXPECT_TRUE(open(R"({"__metadata__":null})", "").metadata().empty());  // as MLX writes it
  const SafetensorsFile file = open(
      R"({"b":{"data_offsets":[1,5],"shape":[1,1],"dtype":"F32"},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})",
      "12345");
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(file.find("b")->bytes.data() - file.find("a")->bytes.data(), 1);
  EXPECT_EQ(open(R"({"a":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}})", "12").find("a")->dtype,
            DType::f4);
}

}  // namespace
}  // namespace lowrank
