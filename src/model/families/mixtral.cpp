// Mixtral (Jiang et al. 2024, arXiv 2401.04088): Mistral with experts in place of each MLP. Its GGUF files
// name Llama's architecture.
#include "model/decoders/decoder.h"
#include "model/gguf/experts_gguf.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "mixtral";

DecoderConfig parse(const nlohmann::json& json) {
  const ConfigReader read(json);
  DecoderConfig c = read_decoder_config(read);
  c.gguf_architecture = "llama";
  c.rotary_order = true;
  c.epsilon = read.positive("rms_norm_eps", 1e-5);
  c.qkv_bias = c.out_bias = c.mlp_bias = false;
  c.rotate(rope_frequencies(json, c.head_dim));
  if (read.has("sliding_window")) c.windows.assign(c.layers, read.count("sliding_window"));
  read.require_text("hidden_act", "silu");
  c.experts = read_experts(read, c.layers, "num_local_experts", 8, 2);
  c.experts.ff = c.ff;
  c.experts.router.name = "block_sparse_moe.gate";
  c.experts.legacy_router = "mlp.gate";
  c.experts.folder = "block_sparse_moe.experts.";
  c.experts.gate.name = "w1";
  c.experts.up.name = "w3";
  c.experts.down.name = "w2";
  return c;
}

GgufDescription describe_gguf(const nlohmann::json& config) {
  return describe_experts(config, parse(config));
}

/// Each token uses all experts: where it chooses some, rounding to bf16 can change the choice.
nlohmann::json tiny_config() {
  nlohmann::json config = tiny_decoder_config("mixtral", "MixtralForCausalLM");
  config["num_local_experts"] = 4;
  config["num_experts_per_tok"] = 4;
  config["intermediate_size"] = 16;
  return config;
}

constexpr std::string_view model_types[] = {"mixtral"};

}  // namespace

extern const FamilyInfo mixtral_family;
const FamilyInfo mixtral_family{family_name,
                                model_types,
                                {},
                                mixtral_config_from_gguf,
                                describe_gguf,
                                decoder_spec<family_name, parse>,
                                load_decoder<parse>,
                                tiny_config};

}  // namespace lowrank
