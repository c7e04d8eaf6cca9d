#include "base/staged_folder.h"

#include <optional>
#include <sys/stat.h>

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

size_t count(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), {}));
}

void put(const fs::path& path, const std::string& text) {
  make_folders(path.parent_path());
  std::ofstream(path) << text;
}

TEST(StagedFolder, AppearsWhole) {
  const test::TemporaryFolder folder;
  const fs::path target = folder.path() / "a" / "out";
  {
    StagedFolder staged(target);
    put(staged.path() / "in" / "config.json", "{}");
    EXPECT_FALSE(fs::exists(target));
    staged.commit();
  }
  EXPECT_EQ(test::content_of(target / "in" / "config.json"), "{}");
  EXPECT_EQ(count(target.parent_path()), 1U);
}

TEST(StagedFolder, LeavesNothingWithoutCommitAndOtherNamesAlone) {
  const test::TemporaryFolder folder;
  put(folder.path() / "out.partial" / "thesis.txt", "mine");
  {
    const StagedFolder staged(folder.path() / "out");
    put(staged.path() / "a", "x");
  }
  EXPECT_EQ(count(folder.path()), 1U);
  EXPECT_EQ(test::content_of(folder.path() / "out.partial" / "thesis.txt"), "mine");
}

TEST(StagedFolder, AnEmptyFolderStaysTheOneThatItIsAlsoBehindALink) {
  const test::TemporaryFolder folder;
  const fs::path real = folder.path() / "real";
  fs::create_directory(real);
  struct stat before {
  }, after{};
  ASSERT_EQ(::stat(real.c_str(), &before), 0);
  fs::create_directory_symlink(real, folder.path() / "link");
  StagedFolder staged(folder.path() / "link/");
  put(staged.path() / "config.json", "{}");
  put(staged.path() / "model", "m");
  staged.commit();
  ASSERT_EQ(::stat(real.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_TRUE(fs::is_symlink(folder.path() / "link"));
  EXPECT_EQ(test::content_of(real / "model"), "m");
}

TEST(StagedFolder, RefusesWhatIsTaken) {
  const test::TemporaryFolder folder;
  const auto refuse = [](const fs::path& path, std::string_view part) {
    test::expect_error(ErrorKind::invalid, path.string(), part, [&] { StagedFolder staged(path); });
  };
  put(folder.path() / "full" / "a", "x");
  fs::create_symlink(folder.path() / "nowhere", folder.path() / "dangling");
  refuse(folder.path() / "full", "exists already");
  refuse(folder.path() / "full" / "a", "is a file");
  refuse(folder.path() / "dangling", "leads nowhere");
}

TEST(StagedFolder, TheSecondOfTwoIsAnErrorAndTheFirstStays) {
  const test::TemporaryFolder folder;
  std::optional<StagedFolder> first(folder.path() / "out"), second(folder.path() / "out");
  put(first->path() / "a", "first");
  put(second->path() / "a", "second");
  first->commit();
  test::expect_error(ErrorKind::invalid, "out", "another program", [&] { second->commit(); });
  second.reset();
  EXPECT_EQ(test::content_of(folder.path() / "out" / "a"), "first");
  EXPECT_EQ(count(folder.path()), 1U);
  fs::create_directory(folder.path() / "empty");
  const StagedFolder here(folder.path() / "empty");
  test::expect_error(ErrorKind::invalid, "empty", "exists already",
                     [&] { StagedFolder again(folder.path() / "empty"); });
}

TEST(StagedFolder, NamesWithSlashesAndDotsAtTheirEndAreTheFoldersOwn) {
  EXPECT_EQ(without_slash("out/"), "out");
  EXPECT_EQ(without_slash("./out/."), "./out");
  EXPECT_EQ(without_slash("out/.//"), "out");
  EXPECT_EQ(without_slash("/"), "/");
  EXPECT_EQ(without_slash("."), ".");
  EXPECT_EQ(without_slash("./"), ".");
  EXPECT_EQ(without_slash(".."), "..");
}

TEST(MoveFiles, ReplacesFilesAndLeavesOthers) {
  const test::TemporaryFolder folder;
  const fs::path from = folder.path() / "from", to = folder.path() / "to";
  put(from / "config.json", "new");
  put(from / "part" / "adapter_config.json", "new");
  put(from / "part" / "tensors", "new");
  put(to / "config.json", "old");
  put(to / "part" / "tensors", "old");
  put(to / "part" / "notes", "mine");
  link_files(from, folder.path() / "twice");
  move_files(from, to);
  for (const char* name : {"config.json", "part/adapter_config.json", "part/tensors"}) {
    EXPECT_EQ(test::content_of(to / name), "new") << name;
    EXPECT_EQ(test::content_of(folder.path() / "twice" / name), "new") << name;
  }
  EXPECT_EQ(test::content_of(to / "part" / "notes"), "mine");
}

}  // namespace
}  // namespace lowrank
