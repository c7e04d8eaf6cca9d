#include "train/run_results.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "peft/files/adapter_folder.h"
#include "train/records/run_records.h"
#include "train/state.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

constexpr int64_t most_config_bytes = 16 << 20;
constexpr const char* card_name = "README.md";

constexpr std::array<std::string_view, 2> exports{"adapter.gguf", "model.gguf"};

constexpr std::array<std::string_view, 5> records{"metrics.jsonl", "samples.jsonl", trainer_state_name,
                                                  "loss.svg", "run.html"};

constexpr std::array<std::string_view, 22> model_files{"config.json",
                                                       "modules.json",
                                                       "1_Pooling/config.json",
                                                       "2_Normalize/config.json",
                                                       "model.safetensors",
                                                       "generation_config.json",
                                                       "tokenizer.json",
                                                       "tokenizer_config.json",
                                                       "special_tokens_map.json",
                                                       "added_tokens.json",
                                                       "chat_template.jinja",
                                                       "chat_template.json",
                                                       "vocab.json",
                                                       "vocab.txt",
                                                       "merges.txt",
                                                       "tokenizer.model",
                                                       "spiece.model",
                                                       "sentencepiece.bpe.model",
                                                       "config_sentence_transformers.json",
                                                       "sentence_bert_config.json",
                                                       "preprocessor_config.json",
                                                       "processor_config.json"};

bool holds(const fs::path& folder, const fs::path& name) {
  std::error_code none;
  return fs::exists(fs::symlink_status(folder / name, none));
}

void add_existing(const fs::path& folder, const fs::path& place, std::span<const std::string_view> names,
                  std::vector<fs::path>& found) {
  for (const std::string_view name : names) {
    if (holds(folder, place / name)) found.push_back(place / name);
  }
}

/// The JSON of a configuration; null if it is missing or cannot be read.
nlohmann::json lenient_json(const fs::path& path) {
  try {
    return fs::exists(path) ? read_json_file(path, most_config_bytes) : nlohmann::json();
  } catch (const Error&) {
    return {};
  }
}

/// The folders of an adapter's parts.
std::set<std::string> part_names(const fs::path& folder) {
  std::set<std::string> names;
  const auto take = [&](const char* file, const char* key) {
    const nlohmann::json config = lenient_json(folder / file);
    if (!config.is_object() || !config.contains(key) || !config[key].is_array()) return;
    for (const nlohmann::json& name : config[key]) {
      if (name.is_string() && name.get<std::string>().find_first_of("./") == std::string::npos)
        names.insert(name.get<std::string>());
    }
  };
  take("adapters.json", "methods");
  take("adapter_fusion_config.json", "adapter_names");
  names.erase("");
  return names;
}

void add_adapter(const fs::path& folder, const fs::path& place, std::vector<fs::path>& found) {
  const std::set<std::string> parts = part_names(folder / place);
  add_existing(folder, place, adapter_file_names(), found);
  for (const std::string& part : parts) add_existing(folder, place / part, adapter_file_names(), found);
}

void add_events(const fs::path& folder, std::vector<fs::path>& found) {
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder / events_folder, none)) {
    if (is_event_file(entry.path().filename())) found.push_back(events_folder / entry.path().filename());
  }
}

std::string card_in(const fs::path& folder) {
  std::ifstream file(folder / card_name, std::ios::binary);
  std::string card(1 << 16, '\0');
  file.read(card.data(), std::ssize(card));
  card.resize(static_cast<size_t>(file.gcount()));
  return card;
}

bool is_card(std::string_view text) {
  return text.find("Trained with lowrank") != std::string_view::npos;
}

/// True if a run left a model here, according to its card.
bool is_model_of_a_run(const fs::path& folder) {
  const std::string card = card_in(folder);
  return is_card(card) && card.find("This folder is a model") != std::string::npos;
}

void add_others(const fs::path& folder, const fs::path& name, std::vector<fs::path>& others) {
  const std::vector<fs::path> own = checkpoint_files(folder, name);
  for (const auto& entry : fs::recursive_directory_iterator(folder / name)) {
    const fs::path within = entry.path().lexically_relative(folder);
    if (!entry.is_directory() && std::ranges::find(own, within) == own.end()) others.push_back(within);
  }
}

}  // namespace

std::vector<fs::path> adapter_files(const fs::path& folder) {
  std::vector<fs::path> found;
  add_adapter(folder, "", found);
  return found;
}

std::optional<int64_t> step_of_checkpoint(const fs::path& name) {
  constexpr std::string_view start = "checkpoint-";
  const std::string text = name.string();
  if (!text.starts_with(start)) return std::nullopt;
  int64_t step = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data() + start.size(), end, step);
  return error == std::errc() && stopped == end && step >= 0 ? std::optional(step) : std::nullopt;
}

std::vector<fs::path> checkpoints(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory() && step_of_checkpoint(entry.path().filename()))
      found.push_back(entry.path().filename());
  }
  std::ranges::sort(found, {}, step_of_checkpoint);
  return found;
}

std::vector<fs::path> checkpoint_files(const fs::path& folder, const fs::path& name) {
  std::vector<fs::path> found;
  add_adapter(folder, name, found);
  add_adapter(folder, name / best_name, found);
  for (const char* file : {state_name, trainer_state_name}) {
    if (holds(folder, name / file)) found.push_back(name / file);
  }
  return found;
}

bool holds_others(const fs::path& folder, const fs::path& name) {
  std::vector<fs::path> others;
  add_others(folder, name, others);
  return !others.empty();
}

std::vector<fs::path> run_results(const fs::path& folder) {
  std::vector<fs::path> found;
  add_adapter(folder, "", found);
  add_adapter(folder, next_adapter_name, found);
  constexpr std::array<std::string_view, 1> beside_adapter{"chat_template.jinja"};
  if (is_model_of_a_run(folder))
    add_existing(folder, "", model_files, found);
  else if (!found.empty())
    add_existing(folder, "", beside_adapter, found);
  add_existing(folder, "merged", model_files, found);
  add_existing(folder, "", exports, found);
  add_existing(folder, "", records, found);
  add_events(folder, found);
  if (holds(folder, card_name) && is_card(card_in(folder))) found.emplace_back(card_name);
  for (const fs::path& name : checkpoints(folder)) {
    for (fs::path& file : checkpoint_files(folder, name)) found.push_back(std::move(file));
  }
  return found;
}

bool has_other_card(const fs::path& folder) {
  return holds(folder, card_name) && !is_card(card_in(folder));
}

bool is_run_file(const fs::path& name) {
  const std::string text = name.string();
  return std::ranges::find(adapter_file_names(), text) != adapter_file_names().end() ||
         std::ranges::find(exports, text) != exports.end() || is_record(name) || is_model_file(name) ||
         is_in_checkpoint(name);
}

bool is_record(const fs::path& name) {
  return std::ranges::find(records, name.string()) != records.end() ||
         (name.parent_path() == events_folder && is_event_file(name.filename()));
}

bool is_model_file(const fs::path& name) {
  return std::ranges::find(model_files, name.string()) != model_files.end();
}

bool is_in_checkpoint(const fs::path& name) {
  return !name.empty() && step_of_checkpoint(*name.begin()).has_value();
}

fs::path model_in(const fs::path& folder) {
  if (is_model_of_a_run(folder)) return {};
  const nlohmann::json config = lenient_json(folder / "config.json");
  if (config.is_object() && config.contains("model_type")) return "config.json";
  for (const char* name : {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                           "pytorch_model.bin.index.json", "tokenizer.json", "tokenizer.model"}) {
    if (holds(folder, name)) return name;
  }
  return {};
}

std::vector<fs::path> others_in_checkpoints(const fs::path& folder) {
  std::vector<fs::path> others;
  for (const fs::path& name : checkpoints(folder)) add_others(folder, name, others);
  return others;
}

}  // namespace lowrank
