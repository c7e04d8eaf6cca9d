#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/spec.h"

namespace lowrank {

/// Which modules a method adapts, by PEFT's rules (METHODS: target_modules): a list names modules by whole
/// name or by dotted suffix, and `layers` then limits it; a regular expression must match the whole name;
/// `all-linear` is every linear layer but the head. Empty: the method's default.
struct TargetModules {
  std::vector<std::string> names;
  std::string expression;
  std::vector<std::string> excluded_names;
  std::string excluded_expression;
  std::vector<int64_t> layers;
  std::vector<std::string> layers_pattern;

  bool empty() const { return names.empty() && expression.empty(); }
};

/// The word for all linear layers.
inline constexpr std::string_view all_linear = "all-linear";

/// Reads `a,b,c`, `all-linear`, or a regular expression (known by its special characters) into `names` or
/// `expression`.
void read_targets(const std::string& text, std::vector<std::string>& names, std::string& expression);
/// The same from a configuration's list, string or null. Errors: invalid, the key named.
void read_targets(const nlohmann::json& value, const std::string& key, std::vector<std::string>& names,
                  std::string& expression);
nlohmann::json write_targets(const std::vector<std::string>& names, const std::string& expression);

/// True when the name is meant by PEFT's rule for feed-forward modules: it ends with one of the names, or the
/// whole of it matches the expression.
bool names_module(const std::vector<std::string>& names, const std::string& expression,
                  const std::string& module);

/// The shortest ends of dotted names that name the modules of these roles and no others.
std::vector<std::string> names_of_roles(const ModelSpec& spec, const std::vector<Role>& roles);

/// The modules of the model that are targeted, in the model's order. Errors: invalid when none is, with the
/// model's module names; when a name matches nothing, with the nearest one; when `layers` stands beside an
/// expression.
std::vector<const Module*> select_modules(const ModelSpec& spec, const TargetModules& targets);

/// The value of the first pattern (in alphabetical order, as after PEFT's writing) that matches
/// `(.*\.)?(pattern)` on the module's name, or `otherwise`.
double pattern_value(const std::map<std::string, double>& patterns, const std::string& module,
                     double otherwise);

/// The rank of a module by `rank_pattern`. Errors: invalid when it is no whole number above zero.
int64_t pattern_rank(const std::map<std::string, double>& rank_pattern, const std::string& module,
                     int64_t otherwise);

}  // namespace lowrank
