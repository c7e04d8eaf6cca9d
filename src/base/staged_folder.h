#pragma once

#include <filesystem>

namespace lowrank {

/// A new empty folder beside `like`, under a name that no other program has (LIKE.PID-NUMBER.partial). The
/// destructor removes it with all that it holds, and nothing else.
class ScratchFolder {
 public:
  /// Errors: io when no folder can be made there.
  explicit ScratchFolder(const std::filesystem::path& like);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// The folder has another name by now: the destructor leaves it alone.
  void release() { owned_ = false; }

 private:
  std::filesystem::path path_;
  bool owned_ = true;
};

/// A folder that appears under its name only when it is complete: what is written to `path` comes there with
/// `commit`. Without it nothing is left behind.
class StagedFolder {
 public:
  /// `target` may be missing, or an empty folder, which then stays the one that it is; a link to a folder is
  /// followed. Errors: invalid when it is a file, a link to nothing, or holds something; io.
  explicit StagedFolder(const std::filesystem::path& target);

  const std::filesystem::path& path() const { return scratch_.path(); }

  /// Syncs all files and renames the folder (into an empty one: its entries, as `move_files` does). Errors:
  /// invalid when `target` has come to hold something meanwhile, which stays as it is; io.
  void commit();

 private:
  std::filesystem::path target_;
  bool exists_;
  ScratchFolder scratch_;
};

/// `path` without slashes and dots at its end, so that what is beside it can be named.
std::filesystem::path without_slash(std::filesystem::path path);

/// True when a new folder can be written there: nothing is there, or an empty folder. Errors: as
/// folder_to_write.
bool is_free(const std::filesystem::path& target);

/// `path` as a folder to write to: without slashes and dots at its end; where it is a link, the folder that
/// it leads to. Errors: invalid when it is a file or a link to nothing.
std::filesystem::path folder_to_write(const std::filesystem::path& path);

/// Makes the folder and those above it that are missing. Errors: io.
void make_folders(const std::filesystem::path& folder);

/// True for the file without which nothing in its folder can be loaded: the configuration of a model, of an
/// adapter or of several.
bool is_configuration(const std::filesystem::path& name);

/// Moves all files below `from` to the same places below `to`, over those that are there, and syncs: first
/// the configurations in `to` go, then come the other files, then the configurations, an inner folder's
/// before the outer one's. So files of two states are never found together with a configuration. Errors: io.
void move_files(const std::filesystem::path& from, const std::filesystem::path& to);

/// Gives the file a second name (or copies it, where the file system has no hard links), in a folder that is
/// made where it is missing. Errors: io.
void link_file(const std::filesystem::path& from, const std::filesystem::path& to);

/// Gives each file below `from` a second name below `to` (or copies it, where the file system has no hard
/// links). Errors: io.
void link_files(const std::filesystem::path& from, const std::filesystem::path& to);

/// Waits until what was written to the file is on the disk. Errors: io.
void sync_file(const std::filesystem::path& path);

/// Syncs every file and folder from `folder` on down. Errors: io.
void sync_files(const std::filesystem::path& folder);

}  // namespace lowrank
