#include "model/gguf/experts_gguf.h"

#include <algorithm>

namespace lowrank {

void read_expert_counts(const GgufFile& file, const std::string& architecture, nlohmann::json& config) {
  const GgufConfigReader read(file, architecture);
  config["num_local_experts"] = read.count(gguf_key::experts);
  config["num_experts_per_tok"] = read.count(gguf_key::used_experts);
}

nlohmann::json mixtral_config_from_gguf(const GgufFile& file) {
  nlohmann::json config = decoder_config_from_gguf(file, "llama");
  config["model_type"] = "mixtral";
  config["architectures"] = {"MixtralForCausalLM"};
  config["hidden_act"] = "silu";
  read_expert_counts(file, "llama", config);
  return config;
}

GgufDescription describe_experts(const nlohmann::json& config, const DecoderConfig& c) {
  require_in_gguf(std::ranges::all_of(c.experts.layers, [](bool has) { return has; }), "mlp_only_layers",
                  "and decoder_sparse_step must leave no layer without experts");
  require_in_gguf(c.experts.normalised, "norm_topk_prob", "must be true");
  GgufDescription description = describe_decoder(config, c);
  const GgufKeyWriter keys(description.keys, c.gguf_architecture);
  keys.count(gguf_key::experts, c.experts.count);
  keys.count(gguf_key::used_experts, c.experts.used);
  return description;
}

}  // namespace lowrank
