#include "study/compare/run_store.h"

#include <algorithm>
#include <cctype>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/fingerprint.h"
#include "base/json.h"
#include "base/log.h"
#include "base/one_line.h"
#include "base/staged_folder.h"
#include "base/version.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

constexpr const char* configuration_name = "comparison.json";
constexpr int64_t most_bytes = 64 << 20;

/// The record in a file, if there is one, which must be that of this run.
template <class IsOfRun>
std::optional<RunRecord> record_in(const fs::path& path, const IsOfRun& is_of_run) {
  if (!fs::exists(path)) return std::nullopt;
  RunRecord record = run_record_of(read_json_file(path, most_bytes), path.string());
  check(is_of_run(record), ErrorKind::corrupt,
        "{}: the record of another run ({}, seed {}, learning rate {}); remove it to run this one again",
        path.string(), one_line(record.label), record.seed, record.learning_rate);
  return record;
}

/// Adds to `before` what only `usual` has, at any depth.
void complete(nlohmann::ordered_json& before, const nlohmann::ordered_json& usual) {
  if (!before.is_object() || !usual.is_object()) return;
  for (const auto& [key, value] : usual.items()) {
    if (before.contains(key))
      complete(before[key], value);
    else
      before[key] = value;
  }
}

/// `kept`, a method's configuration, with the learning rates of `now` if these only add some: what was tried
/// stays true.
nlohmann::ordered_json with_rates_of(const nlohmann::ordered_json& now, nlohmann::ordered_json kept) {
  constexpr const char* name = "learning_rates";
  if (!kept.is_object() || !kept.contains(name) || !kept[name].is_array() || !now.contains(name)) return kept;
  const nlohmann::ordered_json& rates = now.at(name);
  const bool all_there = std::ranges::all_of(kept[name], [&](const nlohmann::ordered_json& rate) {
    return std::find(rates.begin(), rates.end(), rate) != rates.end();
  });
  if (all_there) kept[name] = rates;
  return kept;
}

constexpr size_t longest_label = 200;

bool is_line(const std::string& label) {
  return label.size() <= longest_label && label.find_first_not_of(' ') != std::string::npos &&
         std::ranges::none_of(label, [](unsigned char letter) { return letter < ' ' || letter == 0x7f; });
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
    for (std::string& sentence :
         differences(old, fresh, where.empty() ? key : fmt::format("{}.{}", where, key)))
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

void check_labels(const std::vector<std::string>& labels, std::vector<std::string>& problems) {
  std::map<std::string, std::string> by_folder = {{folder_name("base"), "base"}};
  for (const std::string& label : labels) {
    if (!is_line(label))
      problems.push_back(fmt::format("methods: the label {} is no short line of text", in_quotes(label)));
    const auto [known, added] = by_folder.emplace(folder_name(label), label);
    if (added) continue;
    problems.push_back(
        known->second == label
            ? fmt::format("methods: the label {} is given twice, or is the base's; give each entry a label",
                          in_quotes(label))
            : fmt::format("methods: the labels {} and {} are those of one folder, {}; change one of them",
                          in_quotes(known->second), in_quotes(label), known->first));
  }
}

void RunStore::open() const {
  folder_to_write(folder_);
  if (!fs::exists(folder_) || fs::exists(folder_ / configuration_name)) return;
  for (const auto& entry : fs::directory_iterator(folder_))
    check(entry.path().filename() == "rows", ErrorKind::invalid,
          "`output` {}: the folder holds {} and is no comparison; give another one", folder_.string(),
          entry.path().filename().string());
}

void RunStore::drop_runs() const {
  if (!fs::exists(folder_ / configuration_name)) return;
  // The configuration goes last: as long as it is there, the folder is known to be a comparison's.
  for (const char* name : {"results.json", "results.md", "results.csv", "index.html", "quality.svg", "runs",
                           "search", configuration_name}) {
    std::error_code failed;
    fs::remove_all(folder_ / name, failed);
    check(!failed, ErrorKind::io, "{}: cannot remove: {}", (folder_ / name).string(), failed.message());
  }
}

void RunStore::keep_configuration(const KeptConfiguration& now, const KeptConfiguration& usual) const {
  const fs::path path = folder_ / configuration_name;
  nlohmann::ordered_json kept = now.methods;
  if (fs::exists(path)) {
    nlohmann::ordered_json before = read_json_file(path, most_bytes);
    check(before.is_object() && before.contains("common") && before.contains("methods") &&
              before["methods"].is_object(),
          ErrorKind::corrupt, "{}: not the configuration of a comparison", path.string());
    complete(before["common"], usual.common);
    std::vector<std::string> found = differences(before["common"], now.common);
    kept = before["methods"];
    for (const auto& [label, method] : now.methods.items()) {
      if (kept.contains(label) && usual.methods.contains(label)) complete(kept[label], usual.methods[label]);
      if (kept.contains(label))
        std::ranges::move(differences(with_rates_of(method, kept.at(label)), method, label),
                          std::back_inserter(found));
      kept[label] = method;
    }
    const nlohmann::ordered_json made_by = before.value("version", nlohmann::ordered_json());
    if (made_by.is_string() && made_by != program_version())
      warn("{}: its runs were made by lowrank {}, and this is {}: times and memory may not compare",
           folder_.string(), one_line(made_by.get<std::string>(), 30), program_version());
    if (!found.empty())
      throw Error(ErrorKind::invalid,
                  fmt::format("`output` {} has runs of another configuration: {}", folder_.string(),
                              fmt::join(found, "; ")),
                  "give another `output`, or `overwrite` to drop those runs");
  }
  make_folders(folder_);
  write_file_atomically(path, json_text(nlohmann::ordered_json{{"version", program_version()},
                                                               {"common", now.common},
                                                               {"methods", kept}},
                                        2) +
                                  "\n");
}

std::optional<RunRecord> RunStore::finished(const std::string& label, int64_t seed) const {
  return record_in(run_folder(label, seed) / run_record_name,
                   [&](const RunRecord& record) { return record.label == label && record.seed == seed; });
}

std::optional<RunRecord> RunStore::tried(const std::string& label, int64_t round, double rate) const {
  return record_in(tried_file(label, round, rate), [&](const RunRecord& record) {
    return record.label == label && record.learning_rate == rate;
  });
}

void RunStore::drop_run(const std::string& label, int64_t seed) const {
  std::error_code failed;
  fs::remove_all(run_folder(label, seed), failed);
  check(!failed, ErrorKind::io, "{}: cannot remove: {}", run_folder(label, seed).string(), failed.message());
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
  return folder_ / "search" / folder_name(label) / fmt::format("round-{}-lr-{}.json", round + 1, rate);
}

}  // namespace lowrank
