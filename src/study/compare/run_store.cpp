#include "study/compare/run_store.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/fingerprint.h"
#include "base/json.h"
#include "base/staged_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

constexpr const char* configuration_name = "comparison.json";
constexpr int64_t most_bytes = 64 << 20;

std::optional<RunRecord> record_in(const fs::path& path) {
  if (!fs::exists(path)) return std::nullopt;
  return run_record_of(read_json_file(path, most_bytes), path.string());
}

}  // namespace

std::vector<std::string> differences(const nlohmann::ordered_json& before, const nlohmann::ordered_json& now,
                                     const std::string& where) {
  // Numbers are compared by value: files do not tell 1 from 1.0.
  if (nlohmann::json(before) == nlohmann::json(now)) return {};
  if (!before.is_object() || !now.is_object())
    return {fmt::format("{}: {}, now {}", where, before.dump(), now.dump())};
  std::vector<std::string> found;
  const auto add = [&](const std::string& key) {
    const auto old = before.contains(key) ? before.at(key) : nlohmann::ordered_json();
    const auto fresh = now.contains(key) ? now.at(key) : nlohmann::ordered_json();
    for (std::string& sentence : differences(old, fresh, where.empty() ? key : where + "." + key))
      found.push_back(std::move(sentence));
  };
  for (const auto& [key, value] : before.items()) add(key);
  for (const auto& [key, value] : now.items())
    if (!before.contains(key)) add(key);
  return found;
}

std::string folder_name(const std::string& label) {
  std::string name;
  for (const char letter : label) {
    const bool plain = std::isalnum(static_cast<unsigned char>(letter)) || letter == '-' || letter == '_' ||
                       letter == '+' || (letter == '.' && !name.empty());
    name += plain ? letter : '-';
  }
  constexpr size_t longest = 60;
  if (name == label && name.size() <= longest) return name;
  Fingerprint fingerprint;
  fingerprint.add(label);
  return name.substr(0, longest) + "-" + fingerprint.text().substr(0, 6);
}

void RunStore::open(bool overwrite) const {
  folder_to_write(folder_);
  if (overwrite && fs::exists(folder_ / configuration_name)) {
    // The configuration goes last: as long as it is there, the folder is known to be a comparison's.
    for (const char* name : {"runs", "search", "rows"}) fs::remove_all(folder_ / name);
    fs::remove(folder_ / configuration_name);
    return;
  }
  if (!fs::exists(folder_) || fs::exists(folder_ / configuration_name)) return;
  for (const auto& entry : fs::directory_iterator(folder_))
    check(entry.path().filename() == "rows", ErrorKind::invalid,
          "`output` {}: the folder holds {} and is no comparison; give another one", folder_.string(),
          entry.path().filename().string());
}

void RunStore::keep_configuration(const nlohmann::ordered_json& common,
                                  const nlohmann::ordered_json& methods) const {
  const fs::path path = folder_ / configuration_name;
  nlohmann::ordered_json kept = methods;
  if (fs::exists(path)) {
    const nlohmann::ordered_json before = read_json_file(path, most_bytes);
    check(before.contains("common") && before.contains("methods"), ErrorKind::corrupt,
          "{}: not the configuration of a comparison", path.string());
    std::vector<std::string> found = differences(before.at("common"), common);
    kept = before.at("methods");
    for (const auto& [label, method] : methods.items()) {
      if (kept.contains(label))
        std::ranges::move(differences(kept.at(label), method, label), std::back_inserter(found));
      kept[label] = method;
    }
    if (!found.empty())
      throw Error(ErrorKind::invalid,
                  fmt::format("`output` {} has runs of another configuration: {}", folder_.string(),
                              fmt::join(found, "; ")),
                  "give another `output`, or `overwrite` to drop those runs");
  }
  make_folders(folder_);
  write_file_atomically(path,
                        json_text(nlohmann::ordered_json{{"common", common}, {"methods", kept}}, 2) + "\n");
}

std::optional<RunRecord> RunStore::finished(const std::string& label, int64_t seed) const {
  return record_in(run_folder(label, seed) / run_record_name);
}

std::optional<RunRecord> RunStore::tried(const std::string& label, int64_t round, double rate) const {
  return record_in(tried_file(label, round, rate));
}

fs::path RunStore::run_folder(const std::string& label, int64_t seed) const {
  return folder_ / "runs" / folder_name(label) / fmt::format("seed-{}", seed);
}

void RunStore::keep_tried(const RunRecord& record, int64_t round) const {
  const fs::path path = tried_file(record.label, round, record.learning_rate);
  make_folders(path.parent_path());
  write_file_atomically(path, json_text(json_of(record), 2) + "\n");
}

fs::path RunStore::tried_file(const std::string& label, int64_t round, double rate) const {
  return folder_ / "search" / folder_name(label) / fmt::format("round-{}-lr-{:g}.json", round + 1, rate);
}

}  // namespace lowrank
