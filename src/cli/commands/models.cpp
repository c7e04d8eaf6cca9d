// lowrank models: lists the models in the Hugging Face cache, which commands open by name.
#include <algorithm>
#include <iostream>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/one_line.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "formats/gguf.h"
#include "formats/hub_cache.h"
#include "model/registry.h"
#include "report/table.h"

namespace lowrank {
namespace {

constexpr int64_t max_config_bytes = 16 << 20;

/// What a model is: its family, or what keeps it from being opened.
struct Kind {
  std::string family, problem;
};

Kind kind_of(const CachedSnapshot& snapshot) {
  if (snapshot.commit.empty()) return {"", "broken: " + one_line(snapshot.missing)};
  if (!snapshot.missing.empty()) return {"", "incomplete: " + snapshot.missing};
  const std::filesystem::path config = snapshot.path / "config.json";
  try {
    if (std::filesystem::exists(config)) {
      const nlohmann::json read = read_json_file(config, max_config_bytes);
      const auto type = read.find("model_type");
      check(type != read.end() && type->is_string(), ErrorKind::invalid, "no model_type");
      return {std::string(family_of_model_type(type->get<std::string>(), "config.json").name), ""};
    }
    check(!snapshot.gguf_files.empty(), ErrorKind::unsupported, "no model but an adapter");
    const GgufFile file = GgufFile::open(snapshot.path / snapshot.gguf_files.front());
    return {std::string(family_of_gguf(file.get<std::string>("general.architecture"), "GGUF").name), ""};
  } catch (const std::exception& error) {
    return {"", fmt::format("cannot be opened: {}", one_line(error.what(), 120))};
  }
}

std::string size_of(int64_t bytes) {
  constexpr double mega = 1e6, giga = 1e9;
  const auto size = static_cast<double>(bytes);
  return size < giga ? fmt::format("{:.1f} MB", size / mega) : fmt::format("{:.1f} GB", size / giga);
}

/// What `model` takes for a snapshot.
std::string name_of(const CachedSnapshot& snapshot) {
  const bool plain = std::ranges::find(snapshot.revisions, std::string("main")) != snapshot.revisions.end();
  if (plain) return snapshot.repository;
  return snapshot.repository + "@" +
         (snapshot.revisions.empty() ? snapshot.commit : snapshot.revisions.front());
}

int run(Arguments& arguments) {
  bool json = false;
  arguments.set_example("lowrank models");
  arguments.add({field("json", json, "as JSON on standard output")});
  if (!arguments.parse()) return 0;
  const std::filesystem::path cache = hub_cache_folder();
  const std::vector<CachedSnapshot> snapshots = cached_snapshots(cache);
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  std::vector<std::vector<std::string>> rows;
  for (const CachedSnapshot& snapshot : snapshots) {
    const Kind kind = kind_of(snapshot);
    const std::string& family = kind.problem.empty() ? kind.family : kind.problem;
    rows.push_back({name_of(snapshot), family, size_of(snapshot.bytes), snapshot.path.string()});
    list.push_back({{"model", name_of(snapshot)},
                    {"revisions", snapshot.revisions},
                    {"commit", snapshot.commit},
                    {"family", kind.family},
                    {"problem", kind.problem},
                    {"gguf_files", snapshot.gguf_files},
                    {"bytes", snapshot.bytes},
                    {"path", snapshot.path.string()}});
  }
  if (json) {
    std::cout << json_text(list, 2) << '\n';
  } else if (rows.empty()) {
    info("{}: {}; `hf download ORG/NAME` fetches one", cache.string(),
         std::filesystem::exists(cache) ? "no models" : "the folder does not exist");
  } else {
    std::cout << markdown_table({"--model", "family", "size", "path"}, rows);
  }
  return 0;
}

}  // namespace

extern const CommandInfo models_command;
const CommandInfo models_command{
    "models", "lists the models in the Hugging Face cache, which `model` takes by name", run};

}  // namespace lowrank
