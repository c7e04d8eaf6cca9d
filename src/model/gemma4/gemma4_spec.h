#pragma once

#include <string_view>

#include "model/gemma4/gemma4_config.h"
#include "model/spec.h"

namespace lowrank {

/// Names of the parts of Gemma 4 below a layer's prefix, without `.weight`.
namespace gemma4_part {
inline constexpr const char* query = "self_attn.q_proj";
inline constexpr const char* key = "self_attn.k_proj";
inline constexpr const char* value = "self_attn.v_proj";
inline constexpr const char* attention_out = "self_attn.o_proj";
inline constexpr const char* query_norm = "self_attn.q_norm";
inline constexpr const char* key_norm = "self_attn.k_norm";
inline constexpr const char* gate = "mlp.gate_proj";
inline constexpr const char* up = "mlp.up_proj";
inline constexpr const char* down = "mlp.down_proj";
inline constexpr const char* before_attention = "input_layernorm";
inline constexpr const char* after_attention = "post_attention_layernorm";
inline constexpr const char* before_mlp = "pre_feedforward_layernorm";
inline constexpr const char* after_mlp = "post_feedforward_layernorm";
// Beside the MLP, in models with experts.
inline constexpr const char* before_experts = "pre_feedforward_layernorm_2";
inline constexpr const char* after_experts = "post_feedforward_layernorm_2";
inline constexpr const char* after_dense = "post_feedforward_layernorm_1";
inline constexpr const char* input_gate = "per_layer_input_gate";
inline constexpr const char* input_projection = "per_layer_projection";
inline constexpr const char* after_input = "post_per_layer_input_norm";
inline constexpr const char* scalar = "layer_scalar";
// Below the model's prefix.
inline constexpr const char* embedding = "embed_tokens";
inline constexpr const char* input_embedding = "embed_tokens_per_layer";
inline constexpr const char* model_projection = "per_layer_model_projection";
inline constexpr const char* projection_norm = "per_layer_projection_norm";
inline constexpr const char* final_norm = "norm";
}  // namespace gemma4_part

/// The prefix of a layer's names, such as `model.layers.0.`.
std::string gemma4_layer_prefix(const Gemma4Config& c, int64_t layer);

/// Names and shapes; `config` is the file that they were read from.
ModelSpec gemma4_spec(std::string_view family, const nlohmann::json& config);

}  // namespace lowrank
