// Qwen 3's mixtures of experts (Qwen Team 2025, arXiv 2505.09388): Qwen 3 with experts in place of the MLPs
// of most layers.
#include <algorithm>
#include <cmath>

#include "model/decoders/decoder.h"
#include "model/gguf/experts_gguf.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "qwen3_moe";
constexpr const char* architecture = "qwen3moe";

/// The layers with experts: each `decoder_sparse_step`-th, less those in `mlp_only_layers`.
std::vector<bool> sparse_layers(const ConfigReader& read, int64_t layers) {
  const int64_t step = read.count("decoder_sparse_step", 1);
  std::vector<bool> sparse(layers);
  for (int64_t layer = 0; layer < layers; ++layer) sparse[layer] = (layer + 1) % step == 0;
  for (const double layer : read.numbers("mlp_only_layers")) {
    read.require(layer >= 0 && layer < static_cast<double>(layers) && layer == std::floor(layer),
                 "mlp_only_layers", "must hold numbers of layers");
    sparse[static_cast<size_t>(layer)] = false;
  }
  return sparse;
}

DecoderConfig parse(const nlohmann::json& json) {
  const ConfigReader read(json);
  DecoderConfig c = read_decoder_config(read);
  c.gguf_architecture = architecture;
  c.mlp_bias = false;
  c.names.query_norm = {"self_attn.q_norm", "attn_q_norm"};
  c.names.key_norm = {"self_attn.k_norm", "attn_k_norm"};
  c.rotate(rope_frequencies(json, c.head_dim));
  if (read.flag("use_sliding_window", false) && read.has("sliding_window"))
    c.windows.assign(c.layers, read.count("sliding_window"));
  read.require_text("hidden_act", "silu");
  const char* key = read.has("num_experts") ? "num_experts" : "num_local_experts";
  c.experts = read_experts(read, c.layers, key, 128, 8);
  c.experts.ff = read.count("moe_intermediate_size", 768);
  c.experts.normalised = read.flag("norm_topk_prob", false);
  c.experts.layers = sparse_layers(read, c.layers);
  return c;
}

nlohmann::json config_from_gguf(const GgufFile& file) {
  const GgufConfigReader read(file, architecture);
  nlohmann::json config = decoder_config_from_gguf(file, architecture);
  config["model_type"] = "qwen3_moe";
  config["architectures"] = {"Qwen3MoeForCausalLM"};
  config["hidden_act"] = "silu";
  config["attention_bias"] = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  read_expert_counts(file, architecture, config);
  config["moe_intermediate_size"] = read.count(gguf_key::expert_ff);
  config["norm_topk_prob"] = true;
  return config;
}

GgufDescription describe_gguf(const nlohmann::json& config) {
  const DecoderConfig c = parse(config);
  GgufDescription description = describe_experts(config, c);
  GgufKeyWriter(description.keys, architecture).count(gguf_key::expert_ff, c.experts.ff);
  return description;
}

/// One layer with experts, of which each token uses all (where it chooses some, rounding to bf16 can change
/// the choice), and one without.
nlohmann::json tiny_config() {
  nlohmann::json config = tiny_decoder_config("qwen3_moe", "Qwen3MoeForCausalLM");
  config["num_experts"] = 4;
  config["num_experts_per_tok"] = 4;
  config["moe_intermediate_size"] = 16;
  config["intermediate_size"] = 40;
  config["mlp_only_layers"] = {1};
  return config;
}

constexpr std::string_view model_types[] = {"qwen3_moe"};
constexpr std::string_view gguf_architectures[] = {architecture};

}  // namespace

extern const FamilyInfo qwen3_moe_family;
const FamilyInfo qwen3_moe_family{family_name,         model_types,   gguf_architectures,
                                  config_from_gguf,    describe_gguf, decoder_spec<family_name, parse>,
                                  load_decoder<parse>, tiny_config};

}  // namespace lowrank
