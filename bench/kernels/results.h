#pragma once

#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "measure.h"

namespace lowrank {

/// Kernels that other programs disturbed are marked. The heading of the table for people, and one line of it.
std::string table_heading();
std::string table_line(const Measurement& measurement);

/// {"machine": features and threads, "kernels": {name: {"ratio", "share", "microseconds",
/// "reference_microseconds"; "disturbed": true where it was}}}.
nlohmann::json to_json(std::span<const Measurement> measurements);

/// An earlier run, as `to_json` wrote it.
class EarlierResults {
 public:
  /// Errors: as read_json_file; corrupt where the file is no such results.
  explicit EarlierResults(const std::string& path);

  /// Processor features and threads it was measured with.
  const std::string& machine() const { return machine_; }
  /// False where the kernel was disturbed, too.
  bool has(const std::string& name) const;
  /// What of `now` got worse by more than a fifth: a sentence, empty where nothing did or where the kernel is
  /// new.
  std::string worse(const Measurement& now) const;
  /// `now`, of to_json, with the lower ratios and shares of both: what every run reached. Kernels that only
  /// the earlier run has stay. Error of kind invalid where that was another machine.
  nlohmann::json lower_of_both(nlohmann::json now) const;

 private:
  std::string machine_;
  nlohmann::json kernels_;
};

}  // namespace lowrank
