#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "peft/core/target_modules.h"

namespace lowrank {

/// The options that name the modules a method adapts.
struct TargetOptions {
  std::string target_modules;  ///< empty: the method's default, set by `resolve`
  std::string exclude_modules;
  std::vector<int64_t> layers_to_transform;
  std::vector<std::string> layers_pattern;
  bool from_file = false;  ///< `read` from an adapter, which may name more than this model has

  std::vector<Field> fields();
  TargetModules targets() const;
  /// Sets `target_modules` to the modules of the given roles if it is empty, and to queries and values if it
  /// is their keyword. Where PEFT would find more modules than are adapted here (all-linear with experts,
  /// other parts of multimodal models), it becomes a list or an expression that means the same in both; not
  /// if it comes from a file.
  void resolve(const ModelSpec& spec, const std::vector<Role>& roles);
  /// The same with `names_of_default_layers`.
  void resolve_default_layers(const ModelSpec& spec);

  /// Writes the fields of adapter_config.json as PEFT does, and reads them back. Errors: invalid, naming the
  /// key.
  void write(nlohmann::json& config) const;
  void read(const nlohmann::json& config, const std::string& where);
};

/// True when the key is present and not null.
bool is_given(const nlohmann::json& config, const char* key);

/// The values of the given keys, under our names: an object for `apply`. Pairs are (theirs, ours).
nlohmann::json given_values(const nlohmann::json& config,
                            std::initializer_list<std::pair<const char*, const char*>> names);

/// A JSON number, an integer if the value is whole.
nlohmann::json json_number(double value);

}  // namespace lowrank
