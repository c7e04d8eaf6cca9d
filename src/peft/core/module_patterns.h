#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/spec.h"

namespace lowrank {

/// Values by pattern on module names; their order matters.
using Patterns = std::vector<std::pair<std::string, double>>;

/// The value of the first pattern that matches `(.*\.)?(pattern)` on the module's name, or `otherwise`:
/// PEFT's rule (get_pattern_key).
double pattern_value(const Patterns& patterns, const std::string& module, double otherwise);

/// The largest rank.
inline constexpr int64_t most_rank = 1 << 20;

/// The rank of a module by `rank_pattern`, or `otherwise`. Errors: invalid when it is not a whole number from
/// 1 to `most_rank`.
int64_t pattern_rank(const Patterns& rank_pattern, const std::string& module, int64_t otherwise);

/// The patterns that match none of the modules, each with the nearest last part of a module name.
std::vector<std::string> idle_patterns(const Patterns& patterns, const std::vector<std::string>& modules);

/// Rejects patterns that match none of the modules; `key` is the option's name.
void check_patterns(const Patterns& patterns, std::string_view key,
                    const std::vector<const Module*>& modules);

/// The patterns as an object whose order does not matter, since PEFT sorts the keys when it writes a file: if
/// the order would matter, each module is listed under its full name instead.
nlohmann::json write_patterns(const Patterns& patterns, const std::vector<const Module*>& modules);

}  // namespace lowrank
