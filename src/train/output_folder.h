#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace lowrank {

/// What a run is asked to read and to write.
struct RunFiles {
  std::string output;             ///< a folder
  std::string model;              ///< folder or GGUF file
  std::string init_adapter;       ///< empty: none
  std::vector<std::string> rows;  ///< data sets as the options name them; empty ones are ignored
  bool overwrite = false;         ///< replace results of an earlier run in the folder
  std::string resume = {};        ///< checkpoint folder to resume from, or `newest_resumed`; empty: none
};

/// The value of RunFiles::resume for the newest complete checkpoint in the output folder.
inline constexpr const char* newest_resumed = "newest";

/// The folder that a run writes to, locked for this run alone for the object's lifetime. Only files that a
/// run writes are ever removed from it, and only those that were there before.
class OutputFolder {
 public:
  /// Creates the folder if it is missing. Errors, before anything is changed: invalid when it is a file or a
  /// dangling link, holds a model or lies in the base model's folder, holds results of a run (without
  /// `overwrite`) or a checkpoint with other files in it, when the run would read what it writes, and when
  /// another run is writing there; not_found when there is no checkpoint to resume from; io. A run that
  /// resumes from a checkpoint in the folder keeps what is there, except for newer checkpoints, which count
  /// as results of an earlier run.
  explicit OutputFolder(const RunFiles& files);
  /// Removes the folders that it created, if they are empty.
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// The checkpoint folder that the run resumes from; empty for a new run.
  const std::filesystem::path& resumed() const { return resumed_; }

  /// To be called right before the first step: removes the earlier run's records and checkpoints and,
  /// if the folder could be locked, incomplete files that a killed run left. Other results stay until those
  /// of this run are there. Errors: io.
  void begin();

  /// Removes what the earlier run left, configurations first, except files that this run has replaced and
  /// those for which `kept` (called with the path within the folder) returns true. Errors: io.
  void drop_earlier(const std::function<bool(const std::filesystem::path&)>& kept);

 private:
  struct Earlier {
    std::filesystem::path name;  ///< within the folder
    uint64_t device = 0, number = 0;
    bool operator==(const Earlier&) const = default;
  };

  Earlier found(const std::filesystem::path& name) const;
  void take();
  void leave();
  void find_resumed(const RunFiles& files);
  std::vector<std::filesystem::path> results() const;
  void drop_incomplete() const;

  std::filesystem::path path_, resumed_;
  std::vector<std::filesystem::path> made_;  ///< innermost first
  std::vector<Earlier> earlier_;
  int descriptor_ = -1;    ///< of the folder; holds its lock
  bool locked_ = false;    ///< some file systems have no locks
  bool in_place_ = false;  ///< the run resumes from a checkpoint in the folder
};

}  // namespace lowrank
