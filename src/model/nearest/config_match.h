#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/registry.h"
#include "model/spec.h"

namespace lowrank {

/// A configuration, with each size also under the other names that it has in config.json files
/// (`num_hidden_layers`, `n_layer`, `num_layers`), unless those are there.
nlohmann::json with_other_names(const nlohmann::json& config);

/// True if tables of all families can be made from this configuration in a second and some megabytes.
bool has_bounded_sizes(const nlohmann::json& config);

/// A configuration of an unknown model as one of the families reads it.
struct ConfigMatch {
  const FamilyInfo* family = nullptr;
  std::string model_type;                 ///< as which the family reads it
  nlohmann::json config;                  ///< with that, and without what was refused
  std::optional<ModelSpec> spec = {};     ///< nullopt: it cannot be read
  std::vector<std::string> refused = {};  ///< why the settings that were left out are refused
};

/// Reads `config` as a model of that type; settings that the family refuses are left out one by one.
ConfigMatch read_as(const FamilyInfo& family, std::string_view model_type, const nlohmann::json& config);

/// A setting that a family does not look at.
struct UnreadSetting {
  std::string key;
  std::string other_name = {};  ///< under which the family reads the same size; empty: there is none
};

/// Those among `keys`, found by replacing each in turn. Settings that say nothing about what is computed
/// (`architectures`, token ids, dropout, ...) are not among them.
std::vector<UnreadSetting> unread_settings(const ConfigMatch& match, const std::vector<std::string>& keys);

}  // namespace lowrank
