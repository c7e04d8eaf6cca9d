// GLM-4, dense (GLM-4-0414; GLM Team 2024, arXiv 2406.12793): RMSNorm before and after each branch, rotary
// positions on half of each head in pairs of neighbours, biases on q, k and v, one matrix for gate and up.
#include "model/decoders/decoder.h"
#include "model/gguf/decoder_gguf.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "glm4";

nlohmann::json with_rotary_share(nlohmann::json config) {
  const char* key = "partial_rotary_factor";
  if (!ConfigReader(config).has(key)) config[key] = 0.5;
  return config;
}

DecoderConfig parse(const nlohmann::json& json) {
  nlohmann::json config = with_rotary_share(json);
  if (!ConfigReader(json).has("head_dim")) config["head_dim"] = 128;
  const ConfigReader read(config);
  DecoderConfig c = read_decoder_config(read);
  c.gguf_architecture = "glm4";
  c.epsilon = read.positive("rms_norm_eps", 1.5625e-7);
  c.qkv_bias = read.flag("attention_bias", true);
  c.out_bias = c.mlp_bias = false;
  c.names.after_attention = {"post_self_attn_layernorm", "post_attention_norm"};
  c.names.after_mlp = {"post_mlp_layernorm", "post_ffw_norm"};
  c.names.gate_up = {"mlp.gate_up_proj", "ffn_up"};
  c.rotate(rope_frequencies(config, rotary_dimension(config, c.head_dim)));
  c.rotary.front().adjacent = true;
  read.require_text("hidden_act", "silu");
  return c;
}

nlohmann::json config_from_gguf(const GgufFile& file) {
  nlohmann::json config = decoder_config_from_gguf(file, "glm4", true);
  config["model_type"] = "glm4";
  config["architectures"] = {"Glm4ForCausalLM"};
  config["attention_bias"] = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  if (!config.contains("partial_rotary_factor")) config["partial_rotary_factor"] = 1.0;
  return config;
}

/// Half of each head rotates.
nlohmann::json tiny_config() {
  return tiny_decoder_config("glm4", "Glm4ForCausalLM");
}

constexpr std::string_view model_types[] = {"glm4"};
constexpr std::string_view gguf_architectures[] = {"glm4"};

}  // namespace

extern const FamilyInfo glm4_family;
const FamilyInfo glm4_family{family_name,
                             model_types,
                             gguf_architectures,
                             config_from_gguf,
                             describe_decoder<parse>,
                             decoder_spec<family_name, parse>,
                             load_decoder<parse>,
                             tiny_config};

}  // namespace lowrank
