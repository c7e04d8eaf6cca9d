#include "base/mmap_file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "base/error.h"

namespace lowrank {

MmapFile MmapFile::open(const std::filesystem::path& path) {
  // Without O_NONBLOCK, opening a pipe would block until a writer opens it.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    check(errno != ENOENT, ErrorKind::not_found, "{}: no such file", path.string());
    fail(ErrorKind::io, "{}: {}", path.string(), std::strerror(errno));
  }
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    fail(ErrorKind::invalid, "{}: {}", path.string(),
         S_ISDIR(status.st_mode) ? "a folder where a file is expected"
                                 : "not a regular file (a pipe or device)");
  }
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) {
    ::close(descriptor);
    return MmapFile(path, {}, state_of(status));
  }
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  const int mapping_error = errno;
  ::close(descriptor);
  check(address != MAP_FAILED, ErrorKind::io, "{}: cannot map: {}", path.string(),
        std::strerror(mapping_error));
  return MmapFile(path, {static_cast<const std::byte*>(address), size}, state_of(status));
}

MmapFile::MmapFile(MmapFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})), state_(other.state_) {}

MmapFile& MmapFile::operator=(MmapFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  std::swap(state_, other.state_);
  return *this;
}

MmapFile::State MmapFile::state_of(const struct ::stat& status) {
  return {status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

void MmapFile::check_unchanged() const {
  struct ::stat status {};
  if (::stat(path_.c_str(), &status) != 0) return;
  const State now = state_of(status);
  if (now.device != state_.device || now.number != state_.number) return;
  const bool same =
      now.size == state_.size && now.seconds == state_.seconds && now.nanoseconds == state_.nanoseconds;
  check(same, ErrorKind::io, "{}: was written to while it was read", path_.string());
}

void MmapFile::forget_pages() const {
  if (!bytes_.empty()) ::madvise(const_cast<std::byte*>(bytes_.data()), bytes_.size(), MADV_DONTNEED);
}

MmapFile::~MmapFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace lowrank
