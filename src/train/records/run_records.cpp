#include "train/records/run_records.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/atomic_file.h"
#include "base/json.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

bool has_events(const fs::path& folder) {
  std::error_code none;
  const fs::directory_iterator entries(folder, none);
  return std::any_of(begin(entries), end(entries),
                     [](const fs::directory_entry& entry) { return is_event_file(entry.path().filename()); });
}

std::vector<nlohmann::ordered_json> records_in(std::istream& lines) {
  std::vector<nlohmann::ordered_json> records;
  for (std::string line; std::getline(lines, line);) {
    nlohmann::ordered_json record = nlohmann::ordered_json::parse(line, nullptr, false);
    if (!record.is_object()) break;
    records.push_back(std::move(record));
  }
  return records;
}

std::string text_of(const nlohmann::json& state) {
  return json_text(state, 2) + "\n";
}

}  // namespace

std::vector<nlohmann::ordered_json> read_metrics(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return records_in(file);
}

RunRecords::RunRecords(const fs::path& folder, const std::string& kept, int64_t steps_done, int64_t log_every,
                       bool events)
    : folder_(folder), metrics_(folder / "metrics.jsonl", kept), log_(log_every) {
  // A run that goes on in another folder takes its first part along.
  const bool replayed = !has_events(folder / events_folder);
  if (events && replayed) events_.emplace(folder / events_folder, 0);
  std::istringstream lines(kept);
  for (const nlohmann::ordered_json& record : records_in(lines)) log(record);
  if (events && !replayed) events_.emplace(folder / events_folder, steps_done + 1);
}

void RunRecords::write(const nlohmann::ordered_json& record) {
  metrics_.write(record);
  log(record);
}

void RunRecords::log(const nlohmann::ordered_json& record) {
  const std::optional<nlohmann::json> entry = log_.take(record);
  if (entry && events_) events_->write(entry->value("step", int64_t{0}), event_scalars(*entry));
}

std::string RunRecords::state_text(const TrainerFacts& facts) const {
  return text_of(trainer_state(read_metrics(folder_ / "metrics.jsonl"), facts, false));
}

void RunRecords::finish(const TrainerFacts& facts) {
  const std::vector<nlohmann::ordered_json> records = read_metrics(folder_ / "metrics.jsonl");
  write_file_atomically(folder_ / trainer_state_name, text_of(trainer_state(records, facts, true)));
  if (!events_) return;
  const nlohmann::json last = final_log_entry(records, facts);
  events_->write(last.value("step", int64_t{0}), event_scalars(last));
}

}  // namespace lowrank
