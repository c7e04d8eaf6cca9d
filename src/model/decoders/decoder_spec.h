#pragma once

#include <initializer_list>
#include <string_view>

#include <nlohmann/json.hpp>

#include "model/decoder_config.h"
#include "model/spec.h"

namespace lowrank {

/// The prefix of a layer's names in folders, such as `model.layers.0.`.
std::string layer_prefix(const DecoderNames& names, int64_t layer);

/// Names and shapes of a decoder; `config` is the file that they were read from.
ModelSpec decoder_spec(std::string_view family, const nlohmann::json& config, const DecoderConfig& c);

/// Adds the router and the experts of a layer: all gates, then all of `up`, then all of `down`, as GGUF files
/// stack them; then the expert that all tokens use. `prefix` is that of the layer's names in folders.
void add_experts(ModelSpec& spec, const ExpertsConfig& experts, int64_t hidden, const std::string& prefix,
                 int layer);

/// For the text tower of a multimodal model: folders call its tensors `stored_prefix` + what follows the
/// prefix of `c.names`, and its head `stored_head`; tensors whose names begin like one of `towers` belong to
/// other parts, which are left aside.
void set_multimodal_names(ModelSpec& spec, const DecoderConfig& c, std::string_view stored_prefix,
                          std::string_view stored_head, std::initializer_list<std::string_view> towers);

}  // namespace lowrank
