// The sentence that refuses a model of an unknown kind: the nearest family, and what differs.
#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include <fmt/ranges.h>

#include "base/one_line.h"
#include "formats/safetensors_index.h"
#include "model/decoder_config.h"
#include "model/gguf/decoder_gguf.h"
#include "model/model_description.h"
#include "model/nearest/config_match.h"
#include "model/nearest/tensor_match.h"

namespace lowrank {
namespace {

/// More tensors than any model has, to bound the time.
constexpr size_t most_tensors = 300'000;

/// What is known of the unknown model.
struct Unknown {
  std::string kind;
  nlohmann::json config;               ///< of the text part, sizes under all of their names
  std::vector<std::string> keys = {};  ///< that the model's own files have
  std::span<const StoredTensor> tensors = {};
  const GgufFile* gguf = nullptr;
};

/// A family as which the model could be read.
struct Candidate {
  ConfigMatch config;
  TensorMatch tensors = {};
  std::vector<UnreadSetting> unread = {};
};

/// The configuration that a GGUF file's common keys give; null where they do not suffice.
nlohmann::json config_of(const GgufFile& file, const std::string& architecture) try {
  const GgufConfigReader read(file, architecture);
  nlohmann::json config = decoder_config_from_gguf(file, architecture, true);
  config["attention_bias"] = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  const std::string experts = fmt::format("{}.{}", architecture, gguf_key::experts);
  if (file.find<int64_t>(experts).value_or(0) > 0) {
    config["num_experts"] = config["num_local_experts"] = read.count(gguf_key::experts);
    config["num_experts_per_tok"] = read.count(gguf_key::used_experts);
    config["moe_intermediate_size"] =
        read.count(gguf_key::expert_ff, config["intermediate_size"].get<int64_t>());
  }
  return config;
} catch (const Error&) {
  return nullptr;
}

/// The keys of a GGUF file below its architecture that a file of the family would not have.
std::vector<UnreadSetting> unread_keys(const Unknown& model, const ConfigMatch& match) {
  using namespace gguf_key;
  std::vector<std::string> known;
  for (const std::string_view key : {layers,
                                     hidden,
                                     ff,
                                     experts,
                                     used_experts,
                                     expert_ff,
                                     context,
                                     vocabulary,
                                     heads,
                                     kv_heads,
                                     key_length,
                                     value_length,
                                     rms_epsilon,
                                     rotary_dim,
                                     theta,
                                     scaling,
                                     scaling_factor,
                                     original_context,
                                     attention_factor,
                                     beta_fast,
                                     beta_slow,
                                     yarn_log_multiplier})
    known.emplace_back(key);
  try {
    const GgufDescription description = match.family->describe_gguf(match.config);
    for (const GgufMetadata::Entry& entry : description.keys.entries())
      known.push_back(entry.key.substr(entry.key.find('.') + 1));
  } catch (const Error&) {
    // What the family has beside the common keys stays unknown.
  }
  std::vector<UnreadSetting> unread;
  for (const std::string& key : model.keys) {
    if (std::ranges::find(known, key) == known.end()) unread.push_back({model.kind + "." + key});
  }
  return unread;
}

std::vector<Candidate> candidates(const Unknown& model) {
  std::vector<Candidate> all;
  for (const FamilyInfo* family : families()) {
    if (model.gguf && family->gguf_architectures.empty()) continue;
    for (const std::string_view type : family->model_types) {
      Candidate candidate{read_as(*family, type, model.config)};
      if (!candidate.config.spec) continue;
      candidate.tensors = match_tensors(*candidate.config.spec, model.tensors, model.gguf != nullptr);
      all.push_back(std::move(candidate));
      // Tables of many experts are large.
      all.back().config.spec->modules = {};
      all.back().config.spec->tensors = {};
    }
  }
  return all;
}

/// How many letters both begin with; a few are chance.
int64_t same_letters(std::string_view a, std::string_view b) {
  constexpr int64_t least = 3;
  const int64_t same = std::ranges::mismatch(a, b).in1 - a.begin();
  return same < least ? 0 : same;
}

/// The candidate with the most tensors in common; of equals the one that reads most of the configuration,
/// then that of the most similar name, then that of the family with the most kinds.
std::optional<Candidate> nearest(const Unknown& model) {
  std::vector<Candidate> all = candidates(model);
  const auto steps = [](const Candidate& candidate) {
    return std::lround(candidate.tensors.likeness() * 1000);
  };
  int64_t most = 0;
  for (const Candidate& candidate : all) most = std::max<int64_t>(most, steps(candidate));
  if (!model.tensors.empty() && most == 0) return std::nullopt;
  std::erase_if(all, [&](const Candidate& candidate) { return steps(candidate) < most; });
  for (Candidate& candidate : all)
    candidate.unread =
        model.gguf ? unread_keys(model, candidate.config) : unread_settings(candidate.config, model.keys);
  const auto rank = [&](const Candidate& candidate) {
    return std::tuple(-std::ssize(candidate.config.refused), -std::ssize(candidate.unread),
                      same_letters(model.kind, candidate.config.model_type),
                      candidate.config.family->model_types.size());
  };
  const auto best = std::ranges::max_element(all, {}, rank);
  if (best == all.end()) return std::nullopt;
  return std::move(*best);
}

/// "a, b and 3 more"; empty for an empty list.
std::string some_of(const std::vector<std::string>& words) {
  constexpr size_t most = 4;
  const size_t shown = words.size() > most ? most - 1 : words.size();
  std::string text =
      fmt::format("{}", fmt::join(words.begin(), words.begin() + static_cast<int64_t>(shown), ", "));
  if (shown < words.size()) text += fmt::format(" and {} more", words.size() - shown);
  return text;
}

std::vector<std::string> words_of(const std::vector<TensorPattern>& patterns) {
  std::vector<std::string> words;
  for (const TensorPattern& pattern : patterns) {
    const std::string name = one_line(pattern.name, 90);
    words.push_back(pattern.count == 1 ? name : fmt::format("{} ({})", name, pattern.count));
  }
  return words;
}

std::vector<std::string> words_of(const std::vector<UnreadSetting>& settings, bool renamed) {
  std::vector<std::string> words;
  for (const UnreadSetting& setting : settings) {
    if (setting.other_name.empty() == renamed) continue;
    const std::string key = one_line(setting.key, 60);
    words.push_back(renamed ? fmt::format("{} (read as {})", key, setting.other_name) : key);
  }
  return words;
}

/// What it would take, as clauses.
std::vector<std::string> differences(const Candidate& candidate) {
  const TensorMatch& tensors = candidate.tensors;
  std::vector<std::string> refused;
  for (const std::string& reason : candidate.config.refused) refused.push_back(one_line(reason, 160));
  std::string extra = some_of(words_of(tensors.extra));
  if (tensors.renamed > 0)
    extra += fmt::format(" ({} {} the shape of a missing one)", tensors.renamed,
                         tensors.renamed == 1 ? "has" : "have");
  std::vector<std::string> clauses;
  const auto add = [&](std::string_view what, const std::string& list) {
    if (!list.empty()) clauses.push_back(fmt::format("{}: {}", what, list));
  };
  add("settings that it refuses", some_of(refused));
  add("settings that it does not read", some_of(words_of(candidate.unread, false)));
  add("settings under other names", some_of(words_of(candidate.unread, true)));
  if (!tensors.prefix.empty()) add("another beginning of names", one_line(tensors.prefix, 60));
  add("tensors without a place", extra);
  if (tensors.stored > 0) add("tensors that are missing", some_of(words_of(tensors.missing)));
  add("tensors of another shape", some_of(words_of(tensors.misshapen)));
  return clauses;
}

Error described(const std::string& where, const Unknown& model, const std::optional<Candidate>& found) {
  std::vector<std::string_view> known;
  for (const FamilyInfo* family : families()) {
    const auto names = model.gguf ? family->gguf_architectures : family->model_types;
    known.insert(known.end(), names.begin(), names.end());
  }
  const std::string unknown =
      fmt::format("{}: the {} '{}' is not known", where, model.gguf ? "general.architecture" : "model_type",
                  one_line(model.kind, 80));
  const std::string known_kinds = fmt::format("known are {}", fmt::join(known, ", "));
  if (!found) return {ErrorKind::unsupported, unknown + "; " + known_kinds};
  const ConfigMatch& config = found->config;
  const std::string name = model.gguf ? config.spec->gguf_architecture
                           : config.model_type == config.family->name
                               ? config.model_type
                               : fmt::format("{} (of the family {})", config.model_type, config.family->name);
  const std::string placed = model.tensors.empty()
                                 ? ""
                                 : fmt::format(" and has a place for {} of {}", found->tensors.placed,
                                               counted(found->tensors.stored, "tensor"));
  constexpr size_t most_bytes = 700;
  const std::vector<std::string> clauses = differences(*found);
  if (!clauses.empty())
    return {ErrorKind::unsupported,
            fmt::format("{}; the nearest that is, {}, reads this configuration{}; it would take: {}", unknown,
                        name, placed, one_line(fmt::format("{}", fmt::join(clauses, "; ")), most_bytes)),
            known_kinds};
  return {ErrorKind::unsupported,
          fmt::format("{}, but nothing in its names, shapes and settings differs from {}", unknown, name),
          fmt::format("if it is that model under another name, write {} \"{}\"",
                      model.gguf ? "general.architecture" : "into config.json the model_type",
                      model.gguf ? config.spec->gguf_architecture : config.model_type)};
}

}  // namespace

Error unknown_model(const std::filesystem::path& path, std::string_view kind, const nlohmann::json& config,
                    const GgufFile* gguf) {
  Unknown model{std::string(kind), gguf ? config_of(*gguf, std::string(kind)) : config};
  model.gguf = gguf;
  std::optional<SafetensorsIndex> index;
  if (gguf) {
    model.tensors = gguf->tensors();
    for (const GgufEntry& entry : gguf->metadata_entries()) {
      if (entry.key.starts_with(model.kind + "."))
        model.keys.emplace_back(entry.key.substr(model.kind.size() + 1));
    }
  } else {
    const auto text = config.find("text_config");
    if (text != config.end() && text->is_object()) model.config = text_config(config);
    for (const auto& [key, value] : model.config.items()) model.keys.push_back(key);
    try {
      index = SafetensorsIndex::open(path);
      model.tensors = index->tensors();
    } catch (const Error&) {
      // Without weights the configuration alone is compared.
    }
  }
  const std::string where = gguf ? path.string() : (path / "config.json").string();
  if (!model.config.is_object() || model.tensors.size() > most_tensors) return described(where, model, {});
  model.config = with_other_names(model.config);
  // Some families have defaults for all sizes.
  const bool has_sizes = model.config.contains("hidden_size") && model.config.contains("num_hidden_layers");
  if (!has_sizes || !has_bounded_sizes(model.config)) return described(where, model, {});
  return described(where, model, nearest(model));
}

}  // namespace lowrank
