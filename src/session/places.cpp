#include "session/places.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "formats/hub_cache.h"
#include "peft/files/adapter_folder.h"
#include "train/run_results.h"

namespace lowrank {
namespace {

/// True for "owner/name" in the characters that the hub allows.
bool is_hub_name(std::string_view path) {
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.' || c == '/';
  };
  return std::ranges::all_of(path, allowed) && std::ranges::count(path, '/') == 1 &&
         std::isalnum(static_cast<unsigned char>(path.front())) != 0 && !path.ends_with('/') &&
         !path.ends_with(".gguf") && !std::filesystem::exists(path.substr(0, path.find('/')));
}

void check_place(const std::string& path, std::string_view kinds) {
  std::error_code code;
  if (std::filesystem::exists(path, code)) return;
  const bool missing =
      !code || code == std::errc::no_such_file_or_directory || code == std::errc::not_a_directory;
  if (!missing) throw Error(ErrorKind::io, fmt::format("{}: {}", path, code.message()));
  const std::string sentence = fmt::format("{}: no such file or folder; {}", path, kinds);
  if (path.empty() || !is_hub_name(path)) throw Error(ErrorKind::not_found, sentence);
  const std::string folder = path.substr(path.find('/') + 1);
  throw Error(
      ErrorKind::not_found, sentence,
      fmt::format("`hf download {0} --local-dir {1}` (before 2025 `huggingface-cli download`) fetches it "
                  "from the Hugging Face hub into the folder {1}",
                  path, folder));
}

/// Refuses the folder of a run that has not yet left its adapter.
void check_run_left_adapter(const std::filesystem::path& folder) {
  if (!std::filesystem::is_directory(folder) || !adapter_files(adapter_place(folder)).empty()) return;
  const std::vector<std::filesystem::path> saved = checkpoints(folder);
  const bool has_records = std::filesystem::exists(folder / "metrics.jsonl");
  const bool has_model = std::filesystem::exists(folder / "config.json");
  if (has_model || (saved.empty() && !has_records)) return;
  throw Error(ErrorKind::not_found, fmt::format("{}: its run has left no adapter there yet", folder.string()),
              saved.empty()
                  ? std::string("it is written after the first evaluation or at the end")
                  : fmt::format("the newest checkpoint holds one: {}; the run goes on with `resume`",
                                (folder / saved.back()).string()));
}

}  // namespace

std::string located_model(const std::string& given) {
  std::error_code code;
  if (given.empty() || std::filesystem::exists(given, code)) return given;
  const std::optional<HubName> name = hub_name(given);
  if (!name) return given;
  const std::filesystem::path cache = hub_cache_folder();
  if (!in_hub_cache(*name, cache) && !is_hub_name(name->repository)) return given;
  return find_in_hub_cache(*name, cache).string();
}

Field model_field(std::string& model) {
  Field option = field("model", model, model_help);
  option.set = [inner = std::move(option.set), &model](const nlohmann::json& value) {
    inner(value);
    model = located_model(model);
  };
  return option;
}

void check_model_place(const std::string& path) {
  check_place(path, "a model is a local Hugging Face folder or a GGUF file");
}

void check_adapter_place(const std::string& path) {
  check_place(path, "an adapter is a local folder or a GGUF LoRA (.gguf)");
  check_run_left_adapter(path);
}

}  // namespace lowrank
