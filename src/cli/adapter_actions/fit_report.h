#pragma once

#include <span>
#include <string>

#include <nlohmann/json.hpp>

#include "peft/conversion/as_low_rank.h"

namespace lowrank {

/// "210 modules, 30 of them exact, rank 4 to 16, 1.2 % of the energy lost (most in NAME: 3.4 %)"
std::string text_of(std::span<const FittedModule> modules);

/// Counts, ranks and shares of all modules, and a list of them.
nlohmann::ordered_json json_of(std::span<const FittedModule> modules);

}  // namespace lowrank
