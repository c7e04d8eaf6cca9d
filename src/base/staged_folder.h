#pragma once

#include <filesystem>

namespace lowrank {

/// A new empty folder beside `like`, under a name that no other program uses (LIKE.PID-NUMBER.partial). The
/// destructor removes it with its contents, and nothing else.
class ScratchFolder {
 public:
  /// Errors: io when no folder can be made there.
  explicit ScratchFolder(const std::filesystem::path& like);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// The folder has been renamed: the destructor leaves it alone.
  void release() { owned_ = false; }

 private:
  std::filesystem::path path_;
  bool owned_ = true;
};

/// A folder that appears under its name only when it is complete: `commit` moves there what was written to
/// `path`. Without it nothing is left behind.
class StagedFolder {
 public:
  /// `target` may be missing or an empty folder, which is then filled, not replaced; a link to a folder is
  /// followed. Errors: invalid if it is a file, a broken link, or not empty; io.
  explicit StagedFolder(const std::filesystem::path& target);

  const std::filesystem::path& path() const { return scratch_.path(); }

  /// Syncs all files and renames the folder (if `target` was an empty folder, moves the files into it as
  /// `move_files` does). Errors: invalid if something has appeared at `target` meanwhile, which stays as it
  /// is; io.
  void commit();

 private:
  std::filesystem::path target_;
  bool exists_;
  ScratchFolder scratch_;
};

/// `path` without trailing slashes and dots, so that names beside it can be formed.
std::filesystem::path without_slash(std::filesystem::path path);

/// True when a new folder can be written there: nothing is there, or an empty folder. Errors: as
/// folder_to_write.
bool is_free(const std::filesystem::path& target);

/// `path` as a folder to write to: without trailing slashes and dots; if it is a link, the folder it leads
/// to. Errors: invalid if it is a file or a broken link.
std::filesystem::path folder_to_write(const std::filesystem::path& path);

/// Makes the folder and any missing parents. Errors: io.
void make_folders(const std::filesystem::path& folder);

/// True for the file without which nothing in its folder can be loaded: the configuration of a model, an
/// adapter or several adapters.
bool is_configuration(const std::filesystem::path& name);

/// Moves all files below `from` to the same places below `to`, replacing those already there, and syncs.
/// First the configurations in `to` are removed, then the other files are moved, then the configurations,
/// those of inner folders first. So files of two states are never found together with a configuration.
/// Errors: io.
void move_files(const std::filesystem::path& from, const std::filesystem::path& to);

/// Gives the file a second name (or copies it if the file system has no hard links), making its folder if
/// missing. Errors: io.
void link_file(const std::filesystem::path& from, const std::filesystem::path& to);

/// Gives each file below `from` a second name below `to` (or copies it if the file system has no hard links).
/// Errors: io.
void link_files(const std::filesystem::path& from, const std::filesystem::path& to);

/// Waits until what was written to the file is on the disk. Errors: io.
void sync_file(const std::filesystem::path& path);

/// Syncs `folder` and every file and folder below it. Errors: io.
void sync_files(const std::filesystem::path& folder);

}  // namespace lowrank
