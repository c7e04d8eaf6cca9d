#include <csignal>
#include <cstdlib>
#include <optional>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/atomic_file.h"
#include "base/mmap_file.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

size_t entries(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), {}));
}

TEST(MmapFile, HoldsTheBytesThroughMoves) {
  const test::TemporaryFolder folder;
  MmapFile first = MmapFile::open(folder.write("a", "hello"));
  MmapFile file = std::move(first);
  first = MmapFile::open(folder.write("b", "other"));
  std::swap(first, file);
  std::swap(first, file);
  ASSERT_EQ(file.bytes().size(), 5U);
  EXPECT_EQ(static_cast<char>(file.bytes()[4]), 'o');
  EXPECT_EQ(static_cast<char>(first.bytes()[0]), 'o');
  EXPECT_EQ(file.path(), folder.path() / "a");
  EXPECT_TRUE(MmapFile::open(folder.write("empty", "")).bytes().empty());
}

TEST(MmapFile, RefusesWhatIsNoFile) {
  const test::TemporaryFolder folder;
  const auto refuse = [](ErrorKind kind, const fs::path& path, std::string_view part) {
    test::expect_error(kind, path.string(), part, [&] { MmapFile::open(path); });
  };
  refuse(ErrorKind::not_found, folder.path() / "missing", "no such file");
  refuse(ErrorKind::invalid, folder.path(), "a folder");
  ASSERT_EQ(::mkfifo((folder.path() / "pipe").c_str(), 0600), 0);
  refuse(ErrorKind::invalid, folder.path() / "pipe", "not a regular file");
  refuse(ErrorKind::invalid, "/dev/null", "not a regular file");
}

TEST(AtomicFile, AppearsWhenCommitted) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.write("a", "old");
  {
    AtomicFile file(path);
    file.write("new");
    file.write(" text");
    EXPECT_EQ(test::content_of(path), "old");
    file.commit();
    EXPECT_EQ(test::content_of(path), "new text");
  }
  EXPECT_EQ(entries(folder.path()), 1U);
  write_file_atomically(path, "");
  EXPECT_EQ(test::content_of(path), "");
}

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.write("a", "old");
  std::optional<AtomicFile> file(path);
  file->write("new");
  // A second writer of the same file does not disturb the first.
  write_file_atomically(path, "second");
  EXPECT_EQ(entries(folder.path()), 2U);
  file.reset();
  EXPECT_EQ(test::content_of(path), "second");
  EXPECT_EQ(entries(folder.path()), 1U);
}

TEST(AtomicFile, KeepsWhatCameMeanwhileWhereAsked) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "a";
  AtomicFile file(path, Existing::kept);
  file.write("second");
  folder.write("a", "first");
  test::expect_error(ErrorKind::invalid, path.string(), "exists already", [&] { file.commit(); });
  EXPECT_EQ(test::content_of(path), "first");
  EXPECT_EQ(entries(folder.path()), 1U);
  AtomicFile free(folder.path() / "b", Existing::kept);
  free.commit();
  EXPECT_EQ(entries(folder.path()), 2U);
}

TEST(MmapFile, TellsThatItsFileWasWrittenTo) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.write("a", "hello");
  const MmapFile file = MmapFile::open(path);
  EXPECT_NO_THROW(file.check_unchanged());
  // Another file under the same name leaves the mapped one unchanged.
  folder.write("b", "other file");
  fs::rename(folder.path() / "b", path);
  EXPECT_NO_THROW(file.check_unchanged());
  const MmapFile second = MmapFile::open(path);
  folder.write("a", "longer than before");
  test::expect_error(ErrorKind::io, path.string(), "written to", [&] { second.check_unchanged(); });
}

TEST(AtomicFile, DoesNotWriteThroughLinks) {
  const test::TemporaryFolder folder;
  const fs::path victim = folder.write("victim", "safe");
  fs::create_symlink(victim, folder.path() / fmt::format("a.{}-0.partial", ::getpid()));
  write_file_atomically(folder.path() / "a", "new");
  EXPECT_EQ(test::content_of(victim), "safe");
  EXPECT_EQ(test::content_of(folder.path() / "a"), "new");
}

TEST(AtomicFile, NamesTheFileThatCannotBeWritten) {
  const test::TemporaryFolder folder;
  const fs::path missing = folder.path() / "no" / "a";
  test::expect_error(ErrorKind::io, missing.string(), "cannot write", [&] { AtomicFile file(missing); });
  test::expect_error(ErrorKind::invalid, folder.path().string(), "a folder",
                     [&] { AtomicFile file(folder.path()); });
  EXPECT_EQ(entries(folder.path()), 0U);
}

TEST(AtomicFile, FullDiskIsAnErrorAndKeepsTheOldFile) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.write("a", "old");
  const auto write_under_limit = [&] {
    const struct rlimit limit { 4096, 4096 };
    ::signal(SIGXFSZ, SIG_IGN);
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) std::exit(2);
    try {
      write_file_atomically(path, std::string(100000, 'x'));
    } catch (const Error& error) {
      std::exit(error.kind() == ErrorKind::io && entries(folder.path()) == 1 ? 0 : 3);
    }
    std::exit(4);
  };
  EXPECT_EXIT(write_under_limit(), testing::ExitedWithCode(0), "");
  EXPECT_EQ(test::content_of(path), "old");
}

}  // namespace
}  // namespace lowrank
