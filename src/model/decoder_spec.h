#pragma once

#include <string_view>

#include <nlohmann/json.hpp>

#include "model/decoder_config.h"
#include "model/spec.h"

namespace lowrank {

/// The prefix of a layer's names in folders, such as `model.layers.0.`.
std::string layer_prefix(const DecoderNames& names, int64_t layer);

/// Names and shapes of a decoder; `config` is the file that they were read from.
ModelSpec decoder_spec(std::string_view family, const nlohmann::json& config, const DecoderConfig& c);

}  // namespace lowrank
