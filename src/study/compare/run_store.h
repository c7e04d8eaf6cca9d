#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "study/compare/run_record.h"

namespace lowrank {

/// What differs between two configurations, a sentence for each value: "training.steps: 100, now 200".
std::vector<std::string> differences(const nlohmann::ordered_json& before, const nlohmann::ordered_json& now,
                                     const std::string& where = {});

/// A label as the name of a folder; different labels have different ones.
std::string folder_name(const std::string& label);

/// Adds a sentence to `problems` for each label that cannot name a line of the table and a folder: one that
/// is given twice, is the base's, is longer than a line, or whose folder another label has.
void check_labels(const std::vector<std::string>& labels, std::vector<std::string>& problems);

/// What the numbers of runs depend on.
struct KeptConfiguration {
  nlohmann::ordered_json common;
  nlohmann::ordered_json methods;  ///< by label
};

/// Where a comparison keeps its finished runs: runs/LABEL/seed-N with run.json and the adapter, and
/// search/LABEL/round-N-lr-X.json.
class RunStore {
 public:
  explicit RunStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Refuses a folder that holds something else. Errors: invalid; io.
  void open() const;
  /// Removes the runs and the tables of an earlier comparison. Errors: io.
  void drop_runs() const;
  /// Compares the configuration with that of the runs in the folder, and keeps it. Methods may be added, and
  /// learning rates to those of a method. `usual`: what stands for a value that the folder's configuration
  /// lacks, since an earlier version of the program, which did not know it, wrote it. Errors: invalid,
  /// listing all that differs; corrupt.
  void keep_configuration(const KeptConfiguration& now, const KeptConfiguration& usual = {}) const;

  /// The record of a finished run. Errors: corrupt, also for a record of another run.
  std::optional<RunRecord> finished(const std::string& label, int64_t seed) const;
  std::optional<RunRecord> tried(const std::string& label, int64_t round, double rate) const;
  /// Removes a finished run. Errors: io.
  void drop_run(const std::string& label, int64_t seed) const;
  /// The folder of a run, which appears when it is finished.
  std::filesystem::path run_folder(const std::string& label, int64_t seed) const;
  /// Keeps the record of a short run. Errors: io.
  void keep_tried(const RunRecord& record, int64_t round) const;

 private:
  std::filesystem::path tried_file(const std::string& label, int64_t round, double rate) const;

  std::filesystem::path folder_;
};

/// The name of a run's record in its folder.
inline constexpr const char* run_record_name = "run.json";

}  // namespace lowrank
