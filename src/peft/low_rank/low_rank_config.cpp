#include "peft/low_rank/low_rank_config.h"

#include <algorithm>
#include <initializer_list>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/one_line.h"

namespace lowrank {
namespace {

/// Fields of unimplemented variants; empty for plain LoRA.
constexpr const char* other_variants[] = {
    "alora_invocation_tokens", "arrow_config",  "kasa_config", "megatron_config",
    "monteclora_config",       "velora_config", "use_bdlora",  "layer_replication"};

/// Options of unimplemented initialisations; a trained adapter does not need them.
constexpr const char* other_starts[] = {"corda_config", "eva_config", "lora_ga_config"};

/// Initialisations that also change the base's weights.
constexpr const char* starts_on_base[] = {"corda", "loftq", "lora_ga"};

/// Other fields that PEFT 0.21 writes.
constexpr const char* other_fields[] = {"peft_type",
                                        "peft_version",
                                        "task_type",
                                        "auto_mapping",
                                        "base_model_name_or_path",
                                        "revision",
                                        "inference_mode",
                                        "r",
                                        "lora_alpha",
                                        "lora_dropout",
                                        "rank_pattern",
                                        "alpha_pattern",
                                        "bias",
                                        "lora_bias",
                                        "modules_to_save",
                                        "use_rslora",
                                        "use_dora",
                                        "use_qalora",
                                        "loftq_config",
                                        "trainable_token_indices",
                                        "init_lora_weights",
                                        "ensure_weight_tying",
                                        "fan_in_fan_out",
                                        "qalora_group_size",
                                        "megatron_core",
                                        "target_modules",
                                        "target_parameters",
                                        "exclude_modules",
                                        "layers_to_transform",
                                        "layers_pattern",
                                        "runtime_config",
                                        "enable_lora",
                                        "merge_weights"};

/// Unknown keys with non-empty values.
std::vector<std::string> unknown_fields(const nlohmann::json& config) {
  std::vector<std::string> unknown;
  for (const auto& [key, value] : config.items()) {
    const auto among = [&key = key](const auto& names) {
      return std::ranges::find(names, key) != std::end(names);
    };
    if (!holds_nothing(value) && !among(other_variants) && !among(other_starts) && !among(other_fields))
      unknown.push_back(in_quotes(key));
  }
  return unknown;
}

template <typename Value>
nlohmann::json list_or_null(const std::vector<Value>& list) {
  return list.empty() ? nlohmann::json() : nlohmann::json(list);
}

Patterns alphas_of(const LowRankOptions& o, const std::vector<const Module*>& modules) {
  if (o.scaling != "1/alpha" || (o.alpha_pattern.empty() && o.rank_pattern.empty())) return o.alpha_pattern;
  Patterns alphas;
  for (const Module* module : modules) {
    const int64_t r = o.rank_of(*module);
    alphas.emplace_back(module->name, o.scale_of(*module, r) * static_cast<double>(r));
  }
  return alphas;
}

/// Fields that change the computation in unimplemented ways and do not hold their neutral value.
std::vector<std::string> beyond_plain(const nlohmann::json& config) {
  std::vector<std::string> problems;
  const auto neutral = [&](const char* name, std::initializer_list<nlohmann::json> values) {
    const auto found = config.find(name);
    if (found == config.end() || std::ranges::find(values, *found) != values.end()) return;
    problems.push_back(fmt::format("{}: {}", name, found->dump().substr(0, 60)));
  };
  for (const char* name : other_variants)
    neutral(name, {nullptr, nlohmann::json::object(), nlohmann::json::array()});
  for (const char* name : {"use_dora", "use_qalora"}) neutral(name, {nullptr, false});
  for (const std::string& key : unknown_fields(config)) {
    if (key.starts_with("\"use_")) problems.push_back(key);
  }
  return problems;
}

/// Token ids from PEFT's list, or from its object with the embedding as the only key.
nlohmann::json token_indices(const nlohmann::json& value, const std::string& where) {
  if (!value.is_object()) return value;
  check(value.size() == 1 && value.begin().key().ends_with("embed_tokens"), ErrorKind::unsupported,
        "{}: trainable_token_indices of other modules than the embedding are not supported: {}", where,
        value.dump().substr(0, 80));
  return value.begin().value();
}

}  // namespace

bool holds_nothing(const nlohmann::json& value) {
  const bool no_text = value.is_string() && value.get_ref<const std::string&>().empty();
  return value.is_null() || value == false || no_text || (value.is_structured() && value.empty());
}

nlohmann::json write_low_rank_config(const LowRankOptions& options,
                                     const std::vector<const Module*>& modules) {
  const LowRankOptions& o = options;
  const bool inverse = o.scaling == "1/alpha";
  const bool named = o.init == "gaussian" || o.init == "orthogonal";
  nlohmann::json config = {
      {"peft_type", "LORA"},
      {"r", o.rank},
      {"lora_alpha", json_number(inverse ? static_cast<double>(o.rank) / o.alpha : o.alpha)},
      {"lora_dropout", o.dropout},
      {"use_rslora", o.scaling == "alpha/sqrt(r)"},
      {"rank_pattern", write_patterns(o.rank_pattern, modules)},
      {"alpha_pattern", write_patterns(alphas_of(o, modules), modules)},
      {"init_lora_weights", named ? nlohmann::json(o.init) : nlohmann::json(o.init == "true")},
      {"bias", o.bias},
      {"lora_bias", o.lora_bias},
      {"modules_to_save", list_or_null(o.modules_to_save)},
      {"target_parameters", list_or_null(o.target_parameters)},
      {"trainable_token_indices", list_or_null(o.trainable_token_indices)},
      {"ensure_weight_tying", o.ensure_weight_tying},
      {"fan_in_fan_out",
       std::ranges::any_of(modules, [](const Module* module) { return module->transposed; })},
      {"use_dora", false},
      {"use_qalora", false},
      {"qalora_group_size", 16},
      {"loftq_config", nlohmann::json::object()},
      {"megatron_core", "megatron.core"}};
  for (const char* absent : other_variants) config[absent] = nullptr;
  for (const char* absent : other_starts) config[absent] = nullptr;
  o.targets.write(config);
  return config;
}

void read_low_rank_config(LowRankOptions& options, const nlohmann::json& config, const std::string& where) {
  const std::vector<std::string> problems = beyond_plain(config);
  check(problems.empty(), ErrorKind::unsupported, "{}: {} is not supported", where,
        fmt::join(problems, ", "));
  nlohmann::json values = given_values(config, {{"r", "rank"},
                                                {"lora_alpha", "alpha"},
                                                {"lora_dropout", "dropout"},
                                                {"rank_pattern", "rank_pattern"},
                                                {"alpha_pattern", "alpha_pattern"},
                                                {"bias", "bias"},
                                                {"lora_bias", "lora_bias"},
                                                {"modules_to_save", "modules_to_save"},
                                                {"target_parameters", "target_parameters"},
                                                {"ensure_weight_tying", "ensure_weight_tying"}});
  if (!is_given(config, "lora_alpha")) values["alpha"] = 8;
  if (is_given(config, "use_rslora") && config["use_rslora"] == true) values["scaling"] = "alpha/sqrt(r)";
  if (is_given(config, "trainable_token_indices"))
    values["trainable_token_indices"] = token_indices(config["trainable_token_indices"], where);
  if (is_given(config, "init_lora_weights")) {
    const nlohmann::json& init = config["init_lora_weights"];
    check(init.is_string() || init.is_boolean(), ErrorKind::invalid,
          "{}: init_lora_weights must be true, false or a name", where);
    const bool known = init.is_boolean() || init == "gaussian" || init == "orthogonal";
    values["init"] = init.is_boolean() ? init.dump() : known ? init.get<std::string>() : "true";
  }
  apply(options.fields(), values, where);
  options.targets.read(config, where);
}

std::vector<std::string> low_rank_notes(const nlohmann::json& config) {
  std::vector<std::string> notes;
  const auto init = config.find("init_lora_weights");
  if (init != config.end() && init->is_string()) {
    for (const char* start : starts_on_base) {
      if (init->get_ref<const std::string&>().starts_with(start))
        notes.push_back(fmt::format(
            "init_lora_weights {}: such a start changes the base's own weights, so the adapter fits only the "
            "base that was saved beside it",
            start));
    }
  }
  const std::vector<std::string> unknown = unknown_fields(config);
  if (!unknown.empty())
    notes.push_back(fmt::format("{} is not known here and left aside", fmt::join(unknown, ", ")));
  return notes;
}

}  // namespace lowrank
