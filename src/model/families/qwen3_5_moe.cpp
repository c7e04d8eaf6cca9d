// Qwen 3.5's mixtures of experts (Qwen Team 2026): Qwen 3.5 with experts in place of each MLP, of which one
// is used by every token, weighed by a product of its own. Of the folders of the multimodal models the text
// model is read.
#include "model/decoders/decoder.h"
#include "model/gguf/experts_gguf.h"
#include "model/qwen3_5/qwen3_5_gguf.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "qwen3_5_moe";
constexpr std::string_view model_types[] = {"qwen3_5_moe_text", "qwen3_5_moe"};
constexpr std::string_view gguf_architectures[] = {"qwen35moe"};
constexpr Qwen35Names names{model_types[1], model_types[0], "Qwen3_5MoeForCausalLM", gguf_architectures[0]};
constexpr std::string_view shared_ff_key = "expert_shared_feed_forward_length";

/// The text model's configuration with the width of an MLP, which no layer has.
nlohmann::json text_of(const nlohmann::json& json) {
  nlohmann::json text = qwen3_5_text(json, names);
  if (!ConfigReader(text).has("intermediate_size"))
    text["intermediate_size"] = ConfigReader(text).count("moe_intermediate_size", 512);
  return text;
}

DecoderConfig parse(const nlohmann::json& json) {
  const nlohmann::json text = text_of(json);
  const ConfigReader read(text);
  DecoderConfig c = parse_qwen3_5(json, text, names);
  const char* key = read.has("num_experts") ? "num_experts" : "num_local_experts";
  c.experts = read_experts(read, c.layers, key, 256, 8);
  c.experts.ff = read.count("moe_intermediate_size", 512);
  c.experts.shared_ff = read.count("shared_expert_intermediate_size", 512);
  c.experts.only_stacked = true;
  return c;
}

ModelSpec spec(const nlohmann::json& json) {
  return qwen3_5_spec(family_name, json, parse(json));
}

nlohmann::json config_from_gguf(const GgufFile& file) {
  const GgufConfigReader read(file, names.gguf_architecture.data());
  nlohmann::json config = qwen3_5_config_from_gguf(file, names);
  read_expert_counts(file, names.gguf_architecture.data(), config);
  config["moe_intermediate_size"] = read.count(gguf_key::expert_ff);
  config["shared_expert_intermediate_size"] =
      read.count(shared_ff_key, config["moe_intermediate_size"].get<int64_t>());
  config["num_experts"] = config["num_local_experts"];
  config.erase("num_local_experts");
  return config;
}

GgufDescription describe_gguf(const nlohmann::json& json) {
  const DecoderConfig c = parse(json);
  GgufDescription description = describe_experts(text_of(json), c);
  describe_qwen3_5(json, c, names, description);
  const GgufKeyWriter keys(description.keys, names.gguf_architecture);
  keys.count(gguf_key::expert_ff, c.experts.ff);
  keys.count(shared_ff_key, c.experts.shared_ff);
  return description;
}

/// Each token uses all experts: where it chooses some, rounding to bf16 can change the choice.
nlohmann::json tiny_config() {
  nlohmann::json config = tiny_qwen3_5_config(names);
  config.erase("intermediate_size");
  config["num_experts"] = 3;
  config["num_experts_per_tok"] = 3;
  config["moe_intermediate_size"] = 16;
  config["shared_expert_intermediate_size"] = 24;
  return config;
}

}  // namespace

extern const FamilyInfo qwen3_5_moe_family;
const FamilyInfo qwen3_5_moe_family{family_name,   model_types, gguf_architectures,  config_from_gguf,
                                    describe_gguf, spec,        load_decoder<parse>, tiny_config};

}  // namespace lowrank
