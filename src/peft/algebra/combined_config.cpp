#include "peft/algebra/combined_config.h"

#include <algorithm>
#include <set>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/one_line.h"
#include "peft/core/target_options.h"
#include "peft/low_rank/low_rank_config.h"

namespace lowrank {
namespace {

bool holds_something(const nlohmann::json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && !holds_nothing(*found);
}

/// What an adapter trains that has no sum.
void check_combinable(const FactoredAdapter& adapter, const std::string& name) {
  std::vector<std::string> problems = adapter.beside;
  if (adapter.config.value("bias", nlohmann::json("none")) != "none") problems.emplace_back("bias");
  for (const char* key : {"lora_bias", "trainable_token_indices"}) {
    if (holds_something(adapter.config, key)) problems.emplace_back(key);
  }
  constexpr size_t shown = 4;
  const size_t more = problems.size() > shown ? problems.size() - shown : 0;
  problems.resize(problems.size() - more);
  check(problems.empty(), ErrorKind::unsupported,
        "{}: it trains more than low-rank factors, which cannot be combined: {}{}", name,
        fmt::join(problems, ", "), more ? fmt::format(" and {} more", more) : "");
}

/// The modules that the adapters train in full, which must differ.
nlohmann::json saved_modules(const std::vector<FactoredAdapter>& adapters,
                             const std::vector<std::string>& names) {
  std::set<std::string> tensors;
  nlohmann::json modules = nlohmann::json::array();
  for (size_t i = 0; i < adapters.size(); ++i) {
    for (const FileTensor& tensor : adapters[i].saved) {
      check(tensors.insert(tensor.name).second, ErrorKind::invalid,
            "{}: {} is also trained in full by another of the adapters, and two such modules have no "
            "combination",
            names[i], one_line(tensor.name));
    }
    if (adapters[i].saved.empty() || !holds_something(adapters[i].config, "modules_to_save")) continue;
    for (const nlohmann::json& module : adapters[i].config["modules_to_save"]) {
      if (std::ranges::find(modules, module) == modules.end()) modules.push_back(module);
    }
  }
  return modules.empty() ? nlohmann::json() : modules;
}

/// True when the targets name modules only together with other keys, so that their union could name more.
bool is_limited(const nlohmann::json& config) {
  constexpr const char* keys[] = {"exclude_modules", "layers_to_transform", "layers_pattern",
                                  "ensure_weight_tying"};
  return std::ranges::any_of(keys, [&](const char* key) { return holds_something(config, key); }) ||
         !holds_something(config, "target_modules") || config["target_modules"] == all_linear;
}

nlohmann::json united_targets(const std::vector<FactoredAdapter>& adapters,
                              const std::vector<std::string>& names,
                              const std::vector<std::string>& modules) {
  if (std::ranges::any_of(adapters, is_limited, &FactoredAdapter::config)) return modules;
  const bool expressions = adapters.front().config["target_modules"].is_string();
  std::vector<std::string> parts;
  for (size_t i = 0; i < adapters.size(); ++i) {
    const nlohmann::json& targets = adapters[i].config["target_modules"];
    check(targets.is_string() == expressions, ErrorKind::invalid,
          "{}: target_modules is {}, that of {} {}; PEFT combines only adapters that have the same", names[i],
          expressions ? "a list" : "an expression", names[0], expressions ? "an expression" : "a list");
    if (expressions) {
      parts.push_back(fmt::format("({})", targets.get<std::string>()));
      continue;
    }
    for (const auto& target : targets.get<std::vector<std::string>>()) {
      if (std::ranges::find(parts, target) == parts.end()) parts.push_back(target);
    }
  }
  if (expressions) return fmt::format("{}", fmt::join(parts, "|"));
  std::ranges::sort(parts);
  return parts;
}

}  // namespace

nlohmann::json combined_config(const std::vector<FactoredAdapter>& adapters,
                               const std::vector<std::string>& names, int64_t rank,
                               const std::vector<std::string>& modules) {
  for (size_t i = 0; i < adapters.size(); ++i) check_combinable(adapters[i], names[i]);
  const nlohmann::json& first = adapters.front().config;
  LowRankOptions options;
  options.rank = rank;
  options.alpha = static_cast<double>(rank);
  nlohmann::json config = write_low_rank_config(options, {});
  for (const char* key : {"base_model_name_or_path", "task_type", "lora_dropout", "fan_in_fan_out",
                          "revision", "auto_mapping"}) {
    if (first.contains(key)) config[key] = first[key];
  }
  config["inference_mode"] = true;
  config["peft_version"] = "0.21.2";
  config["modules_to_save"] = saved_modules(adapters, names);
  config["target_modules"] = united_targets(adapters, names, modules);
  return config;
}

}  // namespace lowrank
