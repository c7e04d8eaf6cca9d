#pragma once

#include <nlohmann/json.hpp>

#include "base/fields.h"

namespace lowrank {

/// A file's value in the form that the field takes. For a list, a single entry becomes a list, text is split
/// as on the command line, and a map becomes a list of KEY=VALUE. Names of modules (target_modules,
/// exclude_modules, ...), which are comma-separated text, may be a list, as in PEFT's files.
nlohmann::json fitting(const Field& field, const nlohmann::json& value);

}  // namespace lowrank
