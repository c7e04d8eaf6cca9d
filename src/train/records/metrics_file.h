#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

namespace lowrank {

/// A run's metrics.jsonl: one object per line, each written immediately.
class MetricsFile {
 public:
  /// Starts with these lines, replacing an existing file. Errors: io.
  explicit MetricsFile(const std::filesystem::path& path, const std::string& lines = {});

  /// Errors: io.
  void write(const nlohmann::ordered_json& entry);
  /// Waits until everything written is on disk. Errors: io.
  void sync();

 private:
  std::filesystem::path path_;
  std::ofstream file_;
};

/// The lines of an earlier file up to `step` (evaluations: up to `evaluated_step`); a truncated line and
/// those after it are left out. Empty if there is no file.
std::string metrics_until(const std::filesystem::path& path, int64_t step, int64_t evaluated_step);

}  // namespace lowrank
