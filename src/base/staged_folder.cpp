#include "base/staged_folder.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <random>
#include <set>
#include <span>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "base/error.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_io(const fs::path& path, const char* what, int error) {
  fail(ErrorKind::io, "{}: cannot {}: {}", path.string(), what, std::strerror(error));
}

void rename_file(const fs::path& from, const fs::path& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) fail_io(to, "write", errno);
}

void remove_file(const fs::path& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail_io(path, "remove", errno);
}

/// Failure is ignored: not every file system can, and what was renamed already has its name.
void try_to_sync_folder(const fs::path& path) {
  const int descriptor = ::open(path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

void rename_files(std::span<const fs::path> files, const fs::path& from, const fs::path& to) {
  std::set<fs::path> folders;
  for (const fs::path& file : files) {
    const fs::path folder = (to / file).parent_path();
    make_folders(folder);
    rename_file(from / file, to / file);
    folders.insert(folder);
  }
  for (const fs::path& folder : folders) try_to_sync_folder(folder);
}

/// The files below a folder, as paths relative to it, sorted by name.
std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_directory()) files.push_back(entry.path().lexically_relative(folder));
  }
  std::ranges::sort(files);
  return files;
}

fs::path checked_target(const fs::path& target) {
  const fs::path folder = folder_to_write(target);
  check(is_free(folder), ErrorKind::invalid, "{}: exists already; a new folder is written", target.string());
  if (folder.has_parent_path()) make_folders(folder.parent_path());
  return folder;
}

}  // namespace

ScratchFolder::ScratchFolder(const fs::path& like) {
  std::random_device random;
  constexpr int attempts = 100;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    path_ = like.string() + fmt::format(".{}-{:08x}.partial", ::getpid(), random());
    // Unlike mkdtemp, this gives the folder the mode of the user's umask.
    if (::mkdir(path_.c_str(), 0777) == 0) return;
    if (errno != EEXIST) break;
  }
  fail_io(like, "make a folder beside it", errno);
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  if (owned_) fs::remove_all(path_, ignored);
}

StagedFolder::StagedFolder(const fs::path& target)
    : target_(checked_target(target)),
      exists_(fs::exists(target_)),
      scratch_(exists_ ? target_ / "new" : target_) {
  const bool alone = !exists_ || std::distance(fs::directory_iterator(target_), {}) == 1;
  check(alone, ErrorKind::invalid, "{}: another program is writing there", target.string());
}

void StagedFolder::commit() {
  sync_files(scratch_.path());
  if (exists_) return move_files(scratch_.path(), target_);
  if (std::rename(scratch_.path().c_str(), target_.c_str()) != 0) {
    const int error = errno;
    check(error != ENOTEMPTY && error != EEXIST && error != ENOTDIR, ErrorKind::invalid,
          "{}: another program has written there meanwhile; nothing of it was changed", target_.string());
    fail_io(target_, "write", error);
  }
  scratch_.release();
  try_to_sync_folder(target_.parent_path());
}

fs::path without_slash(fs::path path) {
  while (path.has_parent_path() && path != path.root_path() &&
         (path.filename().empty() || path.filename() == "."))
    path = path.parent_path();
  return path;
}

bool is_free(const fs::path& target) {
  const fs::path folder = folder_to_write(target);
  return !fs::exists(folder) || fs::is_empty(folder);
}

fs::path folder_to_write(const fs::path& given) {
  fs::path path = without_slash(given);
  std::error_code failed;
  if (fs::is_symlink(path, failed)) {
    const fs::path target = fs::canonical(path, failed);
    check(!failed, ErrorKind::invalid, "{}: a link that leads nowhere", path.string());
    path = target;
  }
  check(!fs::exists(path, failed) || fs::is_directory(path, failed), ErrorKind::invalid,
        "{}: exists already and is a file; a folder is written", path.string());
  return path;
}

void make_folders(const fs::path& folder) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) fail_io(folder, "make the folder", failed.value());
}

bool is_configuration(const fs::path& name) {
  const fs::path file = name.filename();
  return file == "config.json" || file == "adapter_config.json" || file == "adapter_fusion_config.json" ||
         file == "adapters.json";
}

void move_files(const fs::path& from, const fs::path& to) {
  std::vector<fs::path> files = files_below(from);
  const auto last = std::stable_partition(files.begin(), files.end(),
                                          [](const fs::path& f) { return !is_configuration(f); });
  std::stable_sort(last, files.end(), [](const fs::path& a, const fs::path& b) {
    return std::distance(a.begin(), a.end()) > std::distance(b.begin(), b.end());
  });
  for (auto file = files.end(); file != last;) remove_file(to / *--file);
  rename_files({files.begin(), last}, from, to);
  rename_files({last, files.end()}, from, to);
}

void link_file(const fs::path& from, const fs::path& to) {
  make_folders(to.parent_path());
  if (::link(from.c_str(), to.c_str()) == 0) return;
  std::error_code failed;
  fs::copy_file(from, to, failed);
  if (failed) fail_io(to, "write", failed.value());
  sync_file(to);
}

void link_files(const fs::path& from, const fs::path& to) {
  for (const fs::path& file : files_below(from)) link_file(from / file, to / file);
}

void sync_file(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) fail_io(path, "write", errno);
  const int result = ::fsync(descriptor);
  const int error = errno;
  ::close(descriptor);
  if (result != 0) fail_io(path, "write", error);
}

void sync_files(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_directory())
      try_to_sync_folder(entry.path());
    else
      sync_file(entry.path());
  }
  try_to_sync_folder(folder);
}

}  // namespace lowrank
