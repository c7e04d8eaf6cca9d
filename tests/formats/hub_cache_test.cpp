// Models in the Hugging Face cache, found by name; the cache is made up.
#include "formats/hub_cache.h"

#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

const std::string first_commit(40, 'a'), second_commit(40, 'b');

class HubCache : public testing::Test {
 protected:
  fs::path repository(const std::string& folder = "models--org--name") const { return cache.path() / folder; }

  /// A snapshot as `hf download` leaves it: links to blobs.
  fs::path snapshot(const std::string& commit, const std::vector<std::string>& files,
                    const std::string& folder = "models--org--name") const {
    const fs::path path = repository(folder) / "snapshots" / commit;
    fs::create_directories(path);
    fs::create_directories(repository(folder) / "blobs");
    for (const std::string& file : files) {
      const std::string blob = "blob-" + commit.substr(0, 1) + "-" + file;
      std::ofstream(repository(folder) / "blobs" / blob) << "{}";
      fs::create_symlink("../../blobs/" + blob, path / file);
    }
    return path;
  }

  void refer(const std::string& revision, const std::string& content,
             const std::string& folder = "models--org--name") const {
    const fs::path path = repository(folder) / "refs" / revision;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << content;
  }

  fs::path find(const std::string& name) const { return find_in_hub_cache(*hub_name(name), cache.path()); }

  test::TemporaryFolder cache;
};

TEST(HubNames, OnlyWhatTheHubAllows) {
  const auto name = hub_name("org/name.v1@refs/pr/3:part/x.gguf");
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->repository, "org/name.v1");
  EXPECT_EQ(name->revision, "refs/pr/3");
  EXPECT_EQ(name->file, "part/x.gguf");
  EXPECT_EQ(hub_name("gpt2")->fetch_command(), "hf download gpt2");
  EXPECT_EQ(hub_name("a/b@v1")->fetch_command(), "hf download a/b --revision v1");
  for (const char* text :
       {"", "/org/name", "./name", "../name", "org/..", "org/name/", "a/b/c", "a--b/c", "a/b@", "a/b@..",
        "a/b@../x", "a/b@/x", "a/b:../x", "a/b:/x", "a/b:", "a b/c", "~/x", "x.gguf"})
    EXPECT_FALSE(hub_name(text).has_value()) << text;
}

TEST_F(HubCache, FollowsReferencesToSnapshots) {
  const fs::path first = snapshot(first_commit, {"config.json", "model.safetensors"});
  const fs::path second = snapshot(second_commit, {"config.json", "model.safetensors"});
  refer("main", first_commit);
  refer("v2", second_commit + "\n");
  EXPECT_EQ(find("org/name"), first);
  EXPECT_EQ(find("org/name@v2"), second);
  EXPECT_EQ(find("org/name@" + second_commit), second);
  EXPECT_EQ(repository_of(first / "config.json"), "org/name");
  EXPECT_EQ(repository_of(first), "org/name");
  EXPECT_FALSE(repository_of("some/model").has_value());
  test::expect_error(ErrorKind::not_found, "org/name", "hf download org/name --revision v3",
                     [&] { find("org/name@v3"); });
  test::expect_error(ErrorKind::not_found, cache.path().string(), "fetch it with: hf download org/other",
                     [&] { find("org/other"); });
}

TEST_F(HubCache, ReferencesHoldCommitsOnly) {
  snapshot(first_commit, {"config.json", "model.safetensors"});
  for (const std::string& content : {std::string("../../../elsewhere"), std::string(39, 'a'), std::string(),
                                     std::string(40, 'A'), std::string(1000, 'a')}) {
    refer("main", content);
    test::expect_error(ErrorKind::corrupt, "refs/main", "is not a commit", [&] { find("org/name"); });
  }
}

TEST_F(HubCache, NamesWhatASnapshotLacks) {
  const fs::path path = snapshot(first_commit, {"config.json"});
  refer("main", first_commit);
  const auto lacks = [&](const std::string& what) {
    test::expect_error(ErrorKind::not_found, "hf download org/name", what, [&] { find("org/name"); });
  };
  lacks("its weights");
  std::ofstream(path / "model.safetensors.index.json")
      << R"({"weight_map":{"a":"s1.safetensors","b":"../s2"}})";
  lacks("../s2, s1.safetensors are missing");
  fs::create_symlink("../../blobs/none", path / "s1.safetensors");
  lacks("the contents of s1.safetensors are missing");
  fs::remove(path / "config.json");
  fs::remove(path / "s1.safetensors");
  lacks("config.json");
}

TEST_F(HubCache, ARepositoryOfGgufFiles) {
  snapshot(first_commit, {"x-Q8_0.gguf", "README.md"});
  refer("main", first_commit);
  EXPECT_EQ(find("org/name").filename(), "x-Q8_0.gguf");
  snapshot(second_commit, {"a.gguf", "b-00001-of-00002.gguf", "b-00002-of-00002.gguf"});
  refer("main", second_commit);
  test::expect_error(ErrorKind::invalid, "a.gguf, b-00001-of-00002.gguf;", "name one as org/name:a.gguf",
                     [&] { find("org/name"); });
  EXPECT_EQ(find("org/name:b-00001-of-00002.gguf").filename(), "b-00001-of-00002.gguf");
  test::expect_error(ErrorKind::not_found, "no file c.gguf", "hf download org/name c.gguf",
                     [&] { find("org/name:c.gguf"); });
  fs::create_symlink("/etc/passwd", repository() / "snapshots" / second_commit / "out.gguf");
  test::expect_error(ErrorKind::not_found, "org/name", "no file out.gguf",
                     [&] { find("org/name:out.gguf"); });
}

TEST_F(HubCache, ListsSnapshots) {
  EXPECT_TRUE(cached_snapshots(cache.path() / "none").empty());
  snapshot(first_commit, {"config.json", "model.safetensors"});
  snapshot(second_commit, {"config.json"});
  snapshot(first_commit, {"x.gguf"}, "models--gpt2");
  fs::create_directories(cache.path() / "datasets--org--rows" / "snapshots" / first_commit);
  refer("main", first_commit);
  refer("pr/1", first_commit);
  refer("broken", "nothing");
  refer("lost", std::string(40, 'f'));
  const std::vector<CachedSnapshot> found = cached_snapshots(cache.path());
  ASSERT_EQ(found.size(), 5U);
  EXPECT_EQ(found[0].repository, "gpt2");
  EXPECT_EQ(found[0].gguf_files, std::vector<std::string>{"x.gguf"});
  // Revisions that lead to no snapshot have no commit and come first.
  EXPECT_EQ(found[1].revisions, std::vector<std::string>{"broken"});
  EXPECT_NE(found[1].missing.find("is not a commit"), std::string::npos);
  EXPECT_EQ(found[2].revisions, std::vector<std::string>{"lost"});
  EXPECT_NE(found[2].missing.find("its snapshot ffff"), std::string::npos);
  EXPECT_EQ(found[3].repository, "org/name");
  EXPECT_EQ(found[3].revisions, (std::vector<std::string>{"main", "pr/1"}));
  EXPECT_EQ(found[3].bytes, 4);
  EXPECT_EQ(found[3].missing, "");
  EXPECT_NE(found[4].missing.find("weights"), std::string::npos);
  const fs::path file = cache.path() / "file";
  std::ofstream(file) << "x";
  test::expect_error(ErrorKind::invalid, "file", "must be a folder", [&] { cached_snapshots(file); });
}

}  // namespace
}  // namespace lowrank
