#include "train/records/metrics_file.h"

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/staged_folder.h"

namespace lowrank {

MetricsFile::MetricsFile(const std::filesystem::path& path, const std::string& lines) : path_(path) {
  write_file_atomically(path, lines);
  file_.open(path, std::ios::app);
  check(file_.good(), ErrorKind::io, "{}: cannot write", path.string());
}

void MetricsFile::write(const nlohmann::ordered_json& entry) {
  file_ << entry.dump() << '\n' << std::flush;
  check(file_.good(), ErrorKind::io, "{}: cannot write (is the disk full?)", path_.string());
}

void MetricsFile::sync() {
  sync_file(path_);
}

std::string metrics_until(const std::filesystem::path& path, int64_t step, int64_t evaluated_step) {
  std::ifstream file(path, std::ios::binary);
  std::string kept;
  for (std::string line; std::getline(file, line);) {
    const nlohmann::json entry = nlohmann::json::parse(line, nullptr, false);
    const bool whole =
        !file.eof() && entry.is_object() && entry.contains("step") && entry["step"].is_number_integer();
    if (!whole) break;
    const int64_t last = entry.contains("eval_loss") ? evaluated_step : step;
    if (entry["step"].get<int64_t>() <= last) kept += line + '\n';
  }
  return kept;
}

}  // namespace lowrank
