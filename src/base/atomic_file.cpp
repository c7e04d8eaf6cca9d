#include "base/atomic_file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"

namespace lowrank {

void AtomicFile::fail_io(const char* what) const {
  fail(ErrorKind::io, "{}: cannot {}: {}", path_.string(), what, std::strerror(errno));
}

AtomicFile::AtomicFile(std::filesystem::path path, Existing existing)
    : path_(std::move(path)), existing_(existing) {
  std::error_code ignored;
  check(!std::filesystem::is_directory(path_, ignored), ErrorKind::invalid,
        "{}: a folder where a file is to be written", path_.string());
  // "x" never follows a link and never takes over another writer's file.
  for (int attempt = 0; attempt < 1000 && !file_; ++attempt) {
    temporary_ = path_.string() + fmt::format(".{}-{}.partial", ::getpid(), attempt);
    file_ = std::fopen(temporary_.c_str(), "wbxe");
    if (!file_ && errno != EEXIST) break;
  }
  if (!file_) fail_io("write");
}

AtomicFile::~AtomicFile() {
  if (!file_) return;
  std::fclose(file_);
  std::error_code ignored;
  std::filesystem::remove(temporary_, ignored);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) fail_io("write");
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text.data(), text.size())));
}

/// Renames the temporary file; on failure returns false and sets errno.
bool AtomicFile::give_name() const {
  if (existing_ == Existing::replaced) return std::rename(temporary_.c_str(), path_.c_str()) == 0;
  if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS) return false;
  // This file system cannot; making a hard link also fails if the name is taken.
  return ::link(temporary_.c_str(), path_.c_str()) == 0 && ::unlink(temporary_.c_str()) == 0;
}

void AtomicFile::commit() {
  if (std::fflush(file_) != 0 || ::fsync(::fileno(file_)) != 0) fail_io("write");
  std::fclose(file_);
  file_ = nullptr;
  if (!give_name()) {
    const int rename_error = errno;
    std::error_code ignored;
    std::filesystem::remove(temporary_, ignored);
    check(rename_error != EEXIST, ErrorKind::invalid,
          "{}: exists already (another program made it meanwhile); it stays as it is", path_.string());
    errno = rename_error;
    fail_io("replace");
  }
  const std::filesystem::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

}  // namespace lowrank
