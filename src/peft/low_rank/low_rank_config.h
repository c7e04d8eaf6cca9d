#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "peft/low_rank/low_rank_options.h"

// LowRankOptions as PEFT stores them: the fields of its LoraConfig in adapter_config.json.
namespace lowrank {

/// adapter_config.json as PEFT 0.21 writes its LoraConfig, with every field. `modules`: the adapted modules.
/// PEFT has no option for a scaling of 1/alpha; lora_alpha = r / alpha gives the same factor, and with
/// patterns each module gets its own.
nlohmann::json write_low_rank_config(const LowRankOptions& options,
                                     const std::vector<const Module*>& modules);

/// Reads the options from such a file. Fields that change the computation in unimplemented ways must hold
/// their neutral values. Errors: unsupported, listing all fields that do not; invalid, naming the key.
void read_low_rank_config(LowRankOptions& options, const nlohmann::json& config, const std::string& where);

/// True for a value of such a file that asks for nothing: null, false, an empty text, list or mapping.
bool holds_nothing(const nlohmann::json& value);

/// What in such a file is ignored or limits its use, for messages.
std::vector<std::string> low_rank_notes(const nlohmann::json& config);

}  // namespace lowrank
