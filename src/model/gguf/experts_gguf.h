#pragma once

#include <nlohmann/json.hpp>

#include "model/gguf/decoder_gguf.h"

namespace lowrank {

/// The configuration of a Mixtral from a file of the architecture `llama` with experts.
nlohmann::json mixtral_config_from_gguf(const GgufFile& file);

/// Sets `num_local_experts` and `num_experts_per_tok` from a file's metadata. Errors: invalid, the key named.
void read_expert_counts(const GgufFile& file, const std::string& architecture, nlohmann::json& config);

/// The keys of a decoder with experts: those of describe_decoder, and the counts. Errors: also unsupported
/// where some layers have none, or the router's weights are not normalised.
GgufDescription describe_experts(const nlohmann::json& config, const DecoderConfig& c);

}  // namespace lowrank
