#include "formats/safetensors_index.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "support/expect_error.h"
#include "support/places.h"
#include "support/safetensors_bytes.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

const char* const first_shard = "model-00001-of-00002.safetensors";
const char* const second_shard = "model-00002-of-00002.safetensors";
const char* const index_name = "model.safetensors.index.json";

TEST(SafetensorsIndex, JoinsShards) {
  const SafetensorsIndex index = SafetensorsIndex::open(test::fixture("formats/sharded"));
  EXPECT_EQ(index.tensors().size(), 3U);
  ASSERT_NE(index.find("c"), nullptr);
  EXPECT_EQ(index.find("c")->dtype, DType::f16);
  EXPECT_EQ(index.find("a")->shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(index.find("d"), nullptr);
}

TEST(SafetensorsIndex, TakesASingleFile) {
  const test::TemporaryFolder folder;
  fs::copy(test::fixture("formats/tiny.safetensors"), folder.path() / "model.safetensors");
  folder.write(index_name, "{}");
  EXPECT_EQ(SafetensorsIndex::open(folder.path()).tensors().size(), 5U);
}

/// A copy of the sharded fixture whose index is changed and opened.
class SafetensorsIndexBadInput : public testing::Test {
 protected:
  void SetUp() override {
    fs::copy(test::fixture("formats/sharded"), folder_.path());
    index_ = read_json_file(folder_.path() / index_name, 10000);
  }
  void write_index() { folder_.write(index_name, index_.dump()); }
  void refuse(ErrorKind kind, std::string_view part) {
    write_index();
    test::expect_error(kind, folder_.path().string(), part, [&] { SafetensorsIndex::open(folder_.path()); });
  }
  void accept() {
    write_index();
    const SafetensorsIndex index = SafetensorsIndex::open(folder_.path());
    EXPECT_EQ(index.tensors().size(), 3U);
    EXPECT_TRUE(index.notes().empty());
  }
  /// All tensors are found, and one note contains `part`.
  void noted(std::string_view part) {
    write_index();
    const SafetensorsIndex index = SafetensorsIndex::open(folder_.path());
    EXPECT_EQ(index.tensors().size(), 3U);
    ASSERT_EQ(index.notes().size(), 1U);
    EXPECT_NE(index.notes().front().find(part), std::string::npos) << index.notes().front();
  }

  test::TemporaryFolder folder_;
  nlohmann::json index_;
};

TEST_F(SafetensorsIndexBadInput, Files) {
  accept();
  fs::remove(folder_.path() / second_shard);
  refuse(ErrorKind::not_found, second_shard);
  const test::TemporaryFolder empty;
  test::expect_error(ErrorKind::not_found, empty.path().string(), "neither",
                     [&] { SafetensorsIndex::open(empty.path()); });
}

TEST_F(SafetensorsIndexBadInput, NamesOutsideTheFolder) {
  for (const char* name : {"../x", "/etc/passwd", "sub/x", "", ".", "..", "./x"}) {
    index_["weight_map"]["c"] = name;
    refuse(ErrorKind::corrupt, "not a plain file name");
  }
  index_["weight_map"]["c"] = std::string("model\0x", 7);
  refuse(ErrorKind::corrupt, "not a plain file name");
  index_["weight_map"]["c"] = 1;
  refuse(ErrorKind::corrupt, "must be a file name");
  index_["weight_map"]["c"] = std::string(5000, 'x');
  refuse(ErrorKind::not_found, "xxx...");
}

TEST_F(SafetensorsIndexBadInput, Links) {
  const test::TemporaryFolder elsewhere;
  fs::rename(folder_.path() / second_shard, elsewhere.path() / second_shard);
  fs::create_symlink(elsewhere.path() / second_shard, folder_.path() / second_shard);
  refuse(ErrorKind::invalid, "outside the model's folder");
  fs::rename(elsewhere.path() / second_shard, folder_.path() / "other-name");
  fs::remove(folder_.path() / second_shard);
  fs::create_symlink("other-name", folder_.path() / second_shard);
  accept();
}

TEST_F(SafetensorsIndexBadInput, LinksIntoTheCacheAreRead) {
  const fs::path model = folder_.path() / "models--a--b";
  const fs::path snapshot = model / "snapshots" / "1234";
  fs::create_directories(model / "blobs");
  fs::create_directories(snapshot);
  for (const char* name : {first_shard, second_shard, index_name}) {
    fs::rename(folder_.path() / name, model / "blobs" / name);
    fs::create_symlink(fs::path("../../blobs") / name, snapshot / name);
  }
  EXPECT_EQ(SafetensorsIndex::open(snapshot).tensors().size(), 3U);
}

TEST_F(SafetensorsIndexBadInput, LinksOfALocalFolderIntoTheCacheAreRead) {
  const test::TemporaryFolder cache;
  const fs::path blobs = cache.path() / "models--a--b" / "blobs";
  fs::create_directories(blobs);
  for (const char* name : {first_shard, second_shard}) {
    fs::rename(folder_.path() / name, blobs / name);
    fs::create_symlink(blobs / name, folder_.path() / name);
  }
  accept();
}

TEST_F(SafetensorsIndexBadInput, ShardsAreRightWhereTheIndexSaysOtherwise) {
  index_["weight_map"]["a"] = second_shard;
  noted("\"model-00001-of-00002.safetensors\" holds \"a\"");
  index_["weight_map"]["a"] = first_shard;
  index_["weight_map"].erase("b");
  noted("holds \"b\", which the index does not place there");
  index_["weight_map"]["b"] = first_shard;
  index_["weight_map"]["d"] = second_shard;
  noted("lacks \"d\"");
}

TEST_F(SafetensorsIndexBadInput, SameTensorInTwoShards) {
  fs::copy_file(folder_.path() / first_shard, folder_.path() / second_shard,
                fs::copy_options::overwrite_existing);
  index_["weight_map"] = {{"a", first_shard}, {"b", second_shard}};
  write_index();
  const SafetensorsIndex index = SafetensorsIndex::open(folder_.path());
  EXPECT_EQ(index.tensors().size(), 2U);
  EXPECT_FALSE(index.notes().empty());
  index_["weight_map"] = {{"x", first_shard}, {"y", second_shard}};
  refuse(ErrorKind::corrupt, "two shards hold the tensor");
}

TEST_F(SafetensorsIndexBadInput, TotalSize) {
  index_["metadata"]["total_size"] = 36.0;
  accept();
  index_["metadata"]["total_size"] = 37;
  noted("total_size is 37, the shards hold 36");
  index_["metadata"]["total_size"] = "36";
  refuse(ErrorKind::corrupt, "total_size must be a number");
  index_["metadata"]["total_size"] = nullptr;
  accept();
  index_["metadata"].erase("total_size");
  accept();
}

TEST_F(SafetensorsIndexBadInput, Json) {
  index_ = nlohmann::json::array();
  refuse(ErrorKind::corrupt, "no weight_map");
  index_ = {{"weight_map", nlohmann::json::object()}};
  refuse(ErrorKind::corrupt, "no weight_map");
  const auto path = folder_.write(index_name, R"({"weight_map":{"a":"x","a":"y"}})");
  test::expect_error(ErrorKind::corrupt, path.string(), "\"a\" stands twice",
                     [&] { SafetensorsIndex::open(folder_.path()); });
}

}  // namespace
}  // namespace lowrank
