#include "peft/core/target_options.h"

#include <algorithm>
#include <cmath>

#include <fmt/ranges.h>

namespace lowrank {
namespace {

/// Whether PEFT's all-linear has more modules than ours: it takes experts of the models whose targets it
/// rewrites, and the other parts of a multimodal model.
bool is_wider_in_peft(const ModelSpec& spec) {
  return !spec.other_towers.empty() ||
         std::ranges::any_of(spec.tensors, [](const TensorRef& tensor) { return tensor.expert.has_value(); });
}

/// The names of modules of a multimodal model's text part as an expression that names no others: PEFT looks
/// for names alone in all parts.
std::string in_text_part(const ModelSpec& spec, const TargetModules& targets) {
  constexpr std::string_view part = "language_model.";
  const bool whole = std::ranges::all_of(select_modules(spec, targets), [&](const Module* module) {
    return module->name.starts_with(spec.optional_prefix);
  });
  std::vector<std::string> escaped;
  for (const std::string& name : targets.names) {
    if (!whole || name.find(part) != std::string::npos) return {};
    std::string& word = escaped.emplace_back();
    for (const char c : name) word += c == '.' ? std::string("\\.") : std::string(1, c);
  }
  return fmt::format(".*language_model\\.(.*\\.)?({})", fmt::join(escaped, "|"));
}

/// The layer of transformers' encoders that only a label head reads; without one it is not computed here.
constexpr std::string_view pooler = "pooler.dense";

/// True if PEFT would adapt a pooler, in vain, under one of these names.
bool names_unread_pooler(const ModelSpec& spec, const std::vector<std::string>& names) {
  const auto is_end = [](std::string_view name) {
    return pooler == name || (pooler.ends_with(name) && pooler[pooler.size() - name.size() - 1] == '.');
  };
  return !spec.labels && std::ranges::find(spec.ignored, "pooler.") != spec.ignored.end() &&
         std::ranges::any_of(names, is_end);
}

}  // namespace

std::vector<Field> TargetOptions::fields() {
  return {
      field("target_modules", target_modules,
            "names (or dotted ends of names), a regular expression that matches whole names, all-linear, or "
            "query-value, which PEFT adapts by default; empty: the method's default"),
      field("exclude_modules", exclude_modules, "the same; takes precedence over `target_modules`"),
      field("layers_to_transform", layers_to_transform,
            "only these layers; `target_modules` must then be names"),
      field("layers_pattern", layers_pattern, "the name before a layer's number, if it is not the usual one"),
  };
}

TargetModules TargetOptions::targets() const {
  TargetModules targets;
  read_targets(target_modules, targets.names, targets.expression);
  read_targets(exclude_modules, targets.excluded_names, targets.excluded_expression);
  targets.layers = layers_to_transform;
  targets.layers_pattern = layers_pattern;
  targets.from_file = from_file;
  return targets;
}

void TargetOptions::resolve(const ModelSpec& spec, const std::vector<Role>& roles) {
  const std::vector<Role> query_value_roles{Role::query, Role::value, Role::query_key_value};
  if (target_modules == query_value)
    target_modules = fmt::format("{}", fmt::join(names_of_roles(spec, query_value_roles), ","));
  if (target_modules == all_linear && !from_file && is_wider_in_peft(spec)) {
    std::vector<Role> linear;
    for (const Module* module : select_modules(spec, targets())) linear.push_back(module->role);
    target_modules = fmt::format("{}", fmt::join(names_of_roles(spec, linear), ","));
  }
  if (target_modules.empty()) target_modules = fmt::format("{}", fmt::join(names_of_roles(spec, roles), ","));
  const bool multimodal = !spec.other_towers.empty() && spec.optional_prefix.ends_with("language_model.");
  const TargetModules listed = targets();
  const std::vector<std::string> wanted =
      target_modules == all_linear ? std::vector<std::string>{std::string(pooler)} : listed.names;
  if (!from_file && exclude_modules.empty() && names_unread_pooler(spec, wanted)) exclude_modules = pooler;
  if (from_file || !multimodal || listed.names.empty() || !listed.layers.empty()) return;
  if (const std::string expression = in_text_part(spec, listed); !expression.empty())
    target_modules = expression;
}

void TargetOptions::resolve_default_layers(const ModelSpec& spec) {
  // A file without targets means PEFT's default.
  if (target_modules.empty()) {
    target_modules =
        from_file ? query_value : fmt::format("{}", fmt::join(names_of_default_layers(spec), ","));
  }
  resolve(spec, {});
}

void TargetOptions::write(nlohmann::json& config) const {
  const TargetModules names = targets();
  config["target_modules"] = write_targets(names.names, names.expression);
  config["exclude_modules"] = write_targets(names.excluded_names, names.excluded_expression);
  config["layers_to_transform"] =
      layers_to_transform.empty() ? nlohmann::json() : nlohmann::json(layers_to_transform);
  config["layers_pattern"] = layers_pattern.empty() ? nlohmann::json() : nlohmann::json(layers_pattern);
}

void TargetOptions::read(const nlohmann::json& config, const std::string& where) {
  from_file = true;
  nlohmann::json options = nlohmann::json::object();
  for (const char* name : {"layers_to_transform", "layers_pattern"}) {
    if (!is_given(config, name)) continue;
    options[name] = config[name].is_array() ? config[name] : nlohmann::json::array({config[name]});
  }
  apply(fields(), options, where);
  for (const auto& [name, target] :
       {std::pair{"target_modules", &target_modules}, std::pair{"exclude_modules", &exclude_modules}}) {
    if (!is_given(config, name)) continue;
    std::vector<std::string> listed;
    std::string expression;
    read_targets(config[name], where + ": " + name, listed, expression);
    *target = expression.empty() ? fmt::format("{}", fmt::join(listed, ",")) : expression;
  }
}

bool is_given(const nlohmann::json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && !found->is_null();
}

nlohmann::json given_values(const nlohmann::json& config,
                            std::initializer_list<std::pair<const char*, const char*>> names) {
  nlohmann::json values = nlohmann::json::object();
  for (const auto& [theirs, ours] : names) {
    if (is_given(config, theirs)) values[ours] = config[theirs];
  }
  return values;
}

nlohmann::json json_number(double value) {
  constexpr double exact = 9007199254740992.0;  // above this, not every whole number is a double
  const bool whole = value == std::floor(value) && std::abs(value) <= exact;
  return whole ? nlohmann::json(static_cast<int64_t>(value)) : nlohmann::json(value);
}

}  // namespace lowrank
