#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
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
  bool from_file = false;  ///< of an adapter: names and layers that match nothing are left aside, as in PEFT

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
/// model's module names; when a name matches nothing, with the nearest one, or a layer does not exist, unless
/// they are `from_file`; when `layers` stands beside an expression. Names and expressions from a file may
/// leave out the model's optional prefix.
std::vector<const Module*> select_modules(const ModelSpec& spec, const TargetModules& targets);

/// A whole number as one, for files.
nlohmann::json json_number(double value);

/// Values by patterns of modules' names; their order counts.
using Patterns = std::vector<std::pair<std::string, double>>;

/// The value of the first pattern that matches `(.*\.)?(pattern)` on the module's name, or `otherwise`:
/// PEFT's rule (get_pattern_key).
double pattern_value(const Patterns& patterns, const std::string& module, double otherwise);

/// The largest rank.
inline constexpr int64_t most_rank = 1 << 20;

/// The rank of a module by `rank_pattern`. Errors: invalid when it is no whole number from 1 to `most_rank`.
int64_t pattern_rank(const Patterns& rank_pattern, const std::string& module, int64_t otherwise);

/// The patterns that match none of the modules, each with the nearest of the names' last parts.
std::vector<std::string> idle_patterns(const Patterns& patterns, const std::vector<std::string>& modules);

/// Refuses patterns that match none of the modules; `key` names them.
void check_patterns(const Patterns& patterns, std::string_view key,
                    const std::vector<const Module*>& modules);

/// The patterns as an object whose order does not matter, since PEFT sorts the keys when it writes a file:
/// where it would, each of the modules stands under its whole name.
nlohmann::json write_patterns(const Patterns& patterns, const std::vector<const Module*>& modules);

}  // namespace lowrank
