#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "report/event_file.h"
#include "report/trainer_log.h"
#include "train/records/metrics_file.h"

namespace lowrank {

/// Name of the file that describes a run as transformers' Trainer does.
inline constexpr const char* trainer_state_name = "trainer_state.json";

/// Folder, within a run's, of TensorBoard's event files.
inline constexpr const char* events_folder = "runs";

/// All objects of a metrics.jsonl; an incomplete last line is left out. Empty if there is no file.
std::vector<nlohmann::ordered_json> read_metrics(const std::filesystem::path& path);

/// What a run writes while it goes on: metrics.jsonl and, if asked for, an event file of TensorBoard.
class RunRecords {
 public:
  /// `kept`: lines of a resumed run's metrics.jsonl that hold up to its step `steps_done`. `log_every`: steps
  /// between entries of the event file and of trainer_state.json. Errors: io.
  RunRecords(const std::filesystem::path& folder, const std::string& kept, int64_t steps_done,
             int64_t log_every, bool events);

  /// Errors: io.
  void write(const nlohmann::ordered_json& record);
  /// Waits until metrics.jsonl is on disk. Errors: io.
  void sync() { metrics_.sync(); }

  /// Content of trainer_state.json in a checkpoint.
  std::string state_text(const TrainerFacts& facts) const;
  /// Writes trainer_state.json and the last events. Errors: io.
  void finish(const TrainerFacts& facts);

 private:
  void log(const nlohmann::ordered_json& record);

  std::filesystem::path folder_;
  MetricsFile metrics_;
  TrainerLog log_;
  std::optional<EventFile> events_;
};

}  // namespace lowrank
