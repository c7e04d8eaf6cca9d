#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

struct stat;

namespace lowrank {

/// A read-only mapping of a whole regular file. Pages are read when they are touched.
class MmapFile {
 public:
  /// Errors: not_found; invalid for folders, pipes and devices; io. An empty file gives an empty span.
  static MmapFile open(const std::filesystem::path& path);

  MmapFile(MmapFile&& other) noexcept;
  MmapFile& operator=(MmapFile&& other) noexcept;
  MmapFile(const MmapFile&) = delete;
  MmapFile& operator=(const MmapFile&) = delete;
  ~MmapFile();

  std::span<const std::byte> bytes() const { return bytes_; }

  /// Lets the system drop the pages read so far; they are read again when they are touched.
  void forget_pages() const;

  /// Errors: io if the file has been written to since it was opened, so that what was read may mix two
  /// states. (Another file under its name does no harm.)
  void check_unchanged() const;

  const std::filesystem::path& path() const { return path_; }

 private:
  /// Which file it was, how long, and when it was last written to.
  struct State {
    uint64_t device = 0, number = 0;
    int64_t size = 0, seconds = 0, nanoseconds = 0;
  };

  MmapFile(std::filesystem::path path, std::span<const std::byte> bytes, const State& state)
      : path_(std::move(path)), bytes_(bytes), state_(state) {}
  static State state_of(const struct ::stat& status);

  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
  State state_;
};

}  // namespace lowrank
