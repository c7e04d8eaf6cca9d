#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

namespace lowrank {

/// A run's metrics.jsonl: an object a line, each written at once.
class MetricsFile {
 public:
  /// Starts with these lines in place of a file that is there. Errors: io.
  explicit MetricsFile(const std::filesystem::path& path, const std::string& lines = {});

  /// Errors: io.
  void write(const nlohmann::ordered_json& entry);
  /// Waits until what was written is on the disk. Errors: io.
  void sync();

 private:
  std::filesystem::path path_;
  std::ofstream file_;
};

/// The lines of an earlier file up to a step and, of evaluations, up to one after `evaluated_step`; a line
/// that was cut off, and those after it, are left out. Empty where there is no file.
std::string metrics_until(const std::filesystem::path& path, int64_t step, int64_t evaluated_step);

}  // namespace lowrank
