#pragma once

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string_view>

namespace lowrank {

/// What `commit` does with a file that already exists under the name.
enum class Existing { replaced, kept };

/// A file that appears under its name only when it is complete: bytes go to a temporary file in the same
/// folder, and `commit` flushes, syncs and renames it. Without commit nothing is left behind.
class AtomicFile {
 public:
  /// Errors: io when the folder cannot be written; invalid when `path` is a folder.
  explicit AtomicFile(std::filesystem::path path, Existing existing = Existing::replaced);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Errors: io (a full disk, say).
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Call once, at the end. Errors: io; invalid if a file exists and is to be kept. On error the old file is
  /// untouched.
  void commit();

 private:
  [[noreturn]] void fail_io(const char* what) const;
  bool give_name() const;

  std::filesystem::path path_;
  Existing existing_;
  std::filesystem::path temporary_;
  std::FILE* file_ = nullptr;
};

/// Replaces `path` by a file with this content. Errors: as AtomicFile.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

}  // namespace lowrank
