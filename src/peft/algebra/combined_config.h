#pragma once

#include <string>
#include <vector>

#include "peft/algebra/factored_adapter.h"

namespace lowrank {

/// The configuration of an adapter combined from others, as PEFT 0.21 writes it: the first one's base, task
/// and dropout, r = lora_alpha = `rank`, and the union of what they adapt. Modules are listed under their
/// full names if a union of the targets might name more than `modules` (layers_to_transform,
/// exclude_modules). Errors: as `combine`, for the configurations alone.
nlohmann::json combined_config(const std::vector<FactoredAdapter>& adapters,
                               const std::vector<std::string>& names, int64_t rank,
                               const std::vector<std::string>& modules);

}  // namespace lowrank
