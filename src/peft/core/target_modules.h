#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/spec.h"

namespace lowrank {

/// Which modules a method adapts, by PEFT's rules (METHODS: target_modules): a list names modules by full
/// name or by dotted suffix, and `layers` restricts the suffixes; a regular expression must match the full
/// name; `all-linear` is every linear layer but the head, also restricted by `layers`. Empty: the method's
/// default.
struct TargetModules {
  std::vector<std::string> names;
  std::string expression;
  std::vector<std::string> excluded_names;
  std::string excluded_expression;
  std::vector<int64_t> layers;
  std::vector<std::string> layers_pattern;
  bool from_file = false;  ///< from an adapter: names and layers that match nothing are ignored, as in PEFT

  bool empty() const { return names.empty() && expression.empty(); }
};

/// The keyword for all linear layers.
inline constexpr std::string_view all_linear = "all-linear";

/// The keyword for queries and values, which PEFT adapts where it has a default.
inline constexpr std::string_view query_value = "query-value";

/// Reads `a,b,c`, `all-linear`, or a regular expression (recognised by its special characters) into `names`
/// or `expression`.
void read_targets(const std::string& text, std::vector<std::string>& names, std::string& expression);
/// The same from a configuration's list, string or null. Errors: invalid, naming the key.
void read_targets(const nlohmann::json& value, const std::string& key, std::vector<std::string>& names,
                  std::string& expression);
nlohmann::json write_targets(const std::vector<std::string>& names, const std::string& expression);

/// True when PEFT's rule for feed-forward modules selects the module: its name ends with one of the names, or
/// the full name matches the expression.
bool names_module(const std::vector<std::string>& names, const std::string& expression,
                  const std::string& module);

/// The shortest dotted suffixes that name the modules of these roles outside experts, and no others.
std::vector<std::string> names_of_roles(const ModelSpec& spec, const std::vector<Role>& roles);

/// The same of the linear layers that pay most when nothing else is asked for: all inside of layers; of a
/// model with experts without its routers, and without its MLPs, whose names PEFT takes for experts; none
/// with less than 8 outputs; with a label head also what that head alone reads.
std::vector<std::string> names_of_default_layers(const ModelSpec& spec);

/// The targeted modules, in the model's order. Errors: invalid when there are none, with the model's module
/// names; when a name matches nothing, with the nearest one, or a layer does not exist, unless `from_file`;
/// when `layers` is given with an expression. Names and expressions from a file may omit the model's optional
/// prefix.
std::vector<const Module*> select_modules(const ModelSpec& spec, const TargetModules& targets);

}  // namespace lowrank
