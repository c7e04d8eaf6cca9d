#include "base/lost_pages.h"

#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/mmap_file.h"

namespace lowrank {
namespace {

/// Reads a mapped file that has become empty since.
void read_what_is_gone(const std::filesystem::path& path) {
  end_when_pages_are_lost();
  const MmapFile file = MmapFile::open(path);
  std::filesystem::resize_file(path, 0);
  volatile std::byte last = file.bytes().back();
  static_cast<void>(last);
}

TEST(LostPages, EndTheProgramWithTheFilesName) {
  const auto path = std::filesystem::path(testing::TempDir()) / "lost_pages.bin";
  std::ofstream(path) << std::string(1 << 20, 'x');
  EXPECT_EXIT(read_what_is_gone(path), testing::ExitedWithCode(1), "lost_pages.bin: became shorter");
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace lowrank
