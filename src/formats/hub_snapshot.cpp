#include "formats/hub_snapshot.h"

#include <algorithm>
#include <fstream>
#include <string_view>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/json.h"
#include "base/one_line.h"
#include "formats/hub_name.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

constexpr int64_t most_index_bytes = 64 << 20;

/// True for parts of a split GGUF file after the first.
bool is_later_part(std::string_view name) {
  constexpr std::string_view first = "-00001-of-", pattern = "-00001-of-00001.gguf";
  if (name.size() < pattern.size()) return false;
  const std::string_view end = name.substr(name.size() - pattern.size());
  return end.substr(6, 4) == first.substr(6, 4) && !end.starts_with(first) && end.front() == '-';
}

/// The shards that an index names and the folder lacks.
std::string missing_shards(const fs::path& snapshot) {
  const nlohmann::json index = read_json_file(snapshot / "model.safetensors.index.json", most_index_bytes);
  const auto map = index.find("weight_map");
  check(map != index.end() && map->is_object(), ErrorKind::corrupt, "{}: the index has no weight_map",
        snapshot.string());
  std::vector<std::string> missing;
  for (const nlohmann::json& shard : *map) {
    const std::string name = shard.is_string() ? shard.get<std::string>() : "";
    const bool known = std::ranges::find(missing, name) != missing.end();
    if (!known && (!is_plain_part(name) || !fs::exists(snapshot / name))) missing.push_back(name);
  }
  std::ranges::sort(missing);
  const size_t count = missing.size();
  missing.resize(std::min<size_t>(count, 3));
  for (std::string& name : missing) name = one_line(name, 80);
  return count == 0 ? ""
                    : fmt::format("{}{} {} missing", fmt::join(missing, ", "), count > 3 ? ", ..." : "",
                                  count == 1 ? "is" : "are");
}

}  // namespace

std::optional<std::string> commit_in(const fs::path& reference) {
  if (!fs::is_regular_file(reference)) return std::nullopt;
  std::ifstream file(reference);
  std::string text(64, '\0');
  file.read(text.data(), std::ssize(text));
  text.resize(static_cast<size_t>(file.gcount()));
  text.erase(text.find_last_not_of(" \r\n") + 1);
  check(is_commit(text), ErrorKind::corrupt, "{}: {} is not a commit; download the model again",
        reference.string(), in_quotes(text));
  return text;
}

std::vector<std::string> gguf_files_of(const fs::path& snapshot) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(snapshot)) {
    const std::string name = entry.path().lexically_relative(snapshot).generic_string();
    if (name.ends_with(".gguf") && !is_later_part(name)) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

std::string missing_of(const fs::path& snapshot, bool has_gguf) {
  for (const auto& entry : fs::recursive_directory_iterator(snapshot)) {
    if (entry.is_symlink() && !fs::exists(entry.path()))
      return fmt::format("the contents of {} are missing",
                         one_line(entry.path().lexically_relative(snapshot).string(), 80));
  }
  if (has_gguf || fs::exists(snapshot / "adapter_config.json")) return "";
  if (!fs::exists(snapshot / "config.json")) return "config.json, or a GGUF file, is missing";
  if (fs::exists(snapshot / "model.safetensors")) return "";
  if (fs::exists(snapshot / "model.safetensors.index.json")) return missing_shards(snapshot);
  return "its weights (model.safetensors, or model.safetensors.index.json with its shards) are missing";
}

}  // namespace lowrank
