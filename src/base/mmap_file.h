#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

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

  const std::filesystem::path& path() const { return path_; }

 private:
  MmapFile(std::filesystem::path path, std::span<const std::byte> bytes)
      : path_(std::move(path)), bytes_(bytes) {}

  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

}  // namespace lowrank
