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
  std::vector<std::string> rows;  ///< data sets as the options name them; empty ones count for nothing
  bool overwrite = false;         ///< results of an earlier run in the folder give way to those of this one
  std::string resume = {};        ///< a checkpoint's folder to go on from, or `newest_resumed`; empty: none
};

/// The value of RunFiles::resume for the newest complete checkpoint in the output folder.
inline constexpr const char* newest_resumed = "newest";

/// The folder that a run writes to, taken for this run alone as long as the object lives. Only files that a
/// run writes are ever removed from it, and only those that were there before.
class OutputFolder {
 public:
  /// Makes the folder where it is missing. Errors, before anything is changed: invalid when it is a file or a
  /// link to nothing, holds a model or lies in the base model's folder, holds results of a run (without
  /// `overwrite`) or a checkpoint with other files in it, when the run would read what it writes, and when
  /// another run is writing there; not_found where there is no checkpoint to go on from; io. A run that goes
  /// on from a checkpoint in the folder keeps what is there, but for newer checkpoints, which are results of
  /// an earlier run.
  explicit OutputFolder(const RunFiles& files);
  /// Removes the folders that it made, as far as nothing is in them.
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// The checkpoint's folder that the run goes on from; empty: it starts.
  const std::filesystem::path& resumed() const { return resumed_; }

  /// Right before the first step: removes the earlier run's metrics.jsonl and checkpoints. Its other results
  /// stay until those of this run are there. Incomplete files that a killed run left go, too. Errors: io.
  void begin();

  /// Removes what the earlier run left, configurations first, but for files that this run has replaced, and
  /// those (as paths within the folder) of which `kept` says so. Errors: io.
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
  int descriptor_ = -1;    ///< of the folder, whose lock it holds
  bool locked_ = false;    ///< some file systems have no locks
  bool in_place_ = false;  ///< the run goes on from a checkpoint in the folder
};

}  // namespace lowrank
