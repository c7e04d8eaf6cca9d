#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "kernels/operations/delta_rule.h"
#include "model/decoder_config.h"
#include "model/spec.h"

namespace lowrank {

/// The names of a model of Qwen 3.5: dense, or with experts.
struct Qwen35Names {
  std::string_view wrapper;  ///< `model_type` of the multimodal model, whose text part is used
  std::string_view text;     ///< `model_type` of the text model
  std::string_view text_class;
  std::string_view gguf_architecture;
};

/// The types of layers in `layer_types`: a gated DeltaNet, or gated attention.
namespace qwen3_5_layer {
inline constexpr std::string_view linear = "linear_attention";
inline constexpr std::string_view full = "full_attention";
}  // namespace qwen3_5_layer

/// Of GGUF files: blocks behind the layers that predict further tokens.
inline constexpr std::string_view further_key = "nextn_predict_layers";

/// True for the configuration of a multimodal model.
bool is_qwen3_5_wrapper(const nlohmann::json& config, const Qwen35Names& names);

/// The text model's own configuration, with the defaults of its class. Errors: invalid, the key named.
nlohmann::json qwen3_5_text(const nlohmann::json& config, const Qwen35Names& names);

/// The type of each layer: `layer_types`, else attention in each `full_attention_interval`-th. Errors:
/// invalid for other types, or without attention.
std::vector<std::string> qwen3_5_layer_types(const ConfigReader& read, int64_t layers);

/// The heads of the DeltaNets. Errors: invalid, the key named.
DeltaRuleShape qwen3_5_heads(const ConfigReader& read);

/// The rows that the convolutions of the DeltaNets see.
int64_t qwen3_5_taps(const ConfigReader& read);

/// Everything but experts, from the whole configuration and what `qwen3_5_text` makes of it. Errors: invalid
/// or unsupported, the key named.
DecoderConfig parse_qwen3_5(const nlohmann::json& config, const nlohmann::json& text,
                            const Qwen35Names& names);

/// As `decoder_spec`, with the parts of the files that are left aside.
ModelSpec qwen3_5_spec(std::string_view family, const nlohmann::json& config, const DecoderConfig& c);

/// A small configuration of the text model for tests, whose second of three layers has attention; the state
/// of the last one is the output's. The large epsilon keeps the norm of the recurrence's small outputs from
/// magnifying their rounding.
nlohmann::json tiny_qwen3_5_config(const Qwen35Names& names);

}  // namespace lowrank
