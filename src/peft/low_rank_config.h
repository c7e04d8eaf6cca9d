#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "peft/low_rank_options.h"

namespace lowrank {

/// adapter_config.json as PEFT 0.21 writes its LoraConfig, every field of it. `modules`: those adapted. A
/// scaling of 1/alpha has no name there; lora_alpha = r / alpha gives the same factor, and with patterns each
/// module gets its own.
nlohmann::json write_low_rank_config(const LowRankOptions& options,
                                     const std::vector<const Module*>& modules);

/// What such a file says that is left aside, for people.
std::vector<std::string> low_rank_notes(const nlohmann::json& config);

/// The options from such a file. Fields that change the arithmetic in ways that are not built must hold their
/// neutral values. Errors: unsupported, all fields that do not; invalid, the key named.
void read_low_rank_config(LowRankOptions& options, const nlohmann::json& config, const std::string& where);

}  // namespace lowrank
