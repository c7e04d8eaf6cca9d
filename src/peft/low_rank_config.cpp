#include "peft/low_rank_config.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "base/error.h"

namespace lowrank {
namespace {

/// Fields of variants that are not built; absent in their plain state.
constexpr const char* other_variants[] = {
    "alora_invocation_tokens", "arrow_config",     "corda_config",      "eva_config",    "kasa_config",
    "lora_ga_config",          "megatron_config",  "monteclora_config", "velora_config", "use_bdlora",
    "target_parameters",       "layer_replication"};

template <typename Value>
nlohmann::json list_or_null(const std::vector<Value>& list) {
  return list.empty() ? nlohmann::json() : nlohmann::json(list);
}

std::map<std::string, double> alphas_of(const LowRankOptions& o, const std::vector<const Module*>& modules) {
  if (o.scaling != "1/alpha" || (o.alpha_pattern.empty() && o.rank_pattern.empty())) return o.alpha_pattern;
  std::map<std::string, double> alphas;
  for (const Module* module : modules) {
    const int64_t r = o.rank_of(*module);
    alphas[module->name] = o.scale_of(*module, r) * static_cast<double>(r);
  }
  return alphas;
}

/// Fields that change the arithmetic in ways that are not built; each must hold its neutral value.
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
  neutral("loftq_config", {nullptr, nlohmann::json::object()});
  neutral("init_lora_weights", {nullptr, true, false, "gaussian", "orthogonal"});
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
      {"rank_pattern", json_numbers(o.rank_pattern)},
      {"alpha_pattern", json_numbers(alphas_of(o, modules))},
      {"init_lora_weights", named ? nlohmann::json(o.init) : nlohmann::json(o.init == "true")},
      {"bias", o.bias},
      {"lora_bias", o.lora_bias},
      {"modules_to_save", list_or_null(o.modules_to_save)},
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
                                                {"ensure_weight_tying", "ensure_weight_tying"}});
  if (!is_given(config, "lora_alpha")) values["alpha"] = 8;
  if (is_given(config, "use_rslora") && config["use_rslora"] == true) values["scaling"] = "alpha/sqrt(r)";
  if (is_given(config, "trainable_token_indices"))
    values["trainable_token_indices"] = token_indices(config["trainable_token_indices"], where);
  if (is_given(config, "init_lora_weights")) {
    const nlohmann::json& init = config["init_lora_weights"];
    values["init"] = init.is_string() ? init.get<std::string>() : init.dump();
  }
  apply(options.fields(), values, where);
  options.targets.read(config, where);
}

}  // namespace lowrank
