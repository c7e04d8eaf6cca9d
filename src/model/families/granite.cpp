// Granite 3, dense (IBM 2024, github.com/ibm-granite/granite-3.0-language-models): Llama with constant
// factors on the embedding, on q·k in place of 1/sqrt(head size), on each branch before it is added, and with
// the logits divided by a constant.
#include "model/decoders/decoder.h"
#include "model/gguf/decoder_gguf.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "granite";

DecoderConfig parse(const nlohmann::json& json) {
  const ConfigReader read(json);
  DecoderConfig c = read_decoder_config(read);
  c.gguf_architecture = "granite";
  c.rotary_order = true;
  c.embedding_multiplier = read.number("embedding_multiplier", 1);
  c.query_scale = read.number("attention_multiplier", 1);
  c.residual_multiplier = read.number("residual_multiplier", 1);
  c.logits_multiplier = 1 / read.positive("logits_scaling", 1);
  c.rotate(rope_frequencies(json, c.head_dim));
  read.require_text("hidden_act", "silu");
  return c;
}

/// The multipliers in GGUF files and in folders; those that are absent are 1.
constexpr std::pair<const char*, const char*> multipliers[] = {
    {"embedding_scale", "embedding_multiplier"},
    {"attention.scale", "attention_multiplier"},
    {"residual_scale", "residual_multiplier"},
    {"logit_scale", "logits_scaling"},
};

nlohmann::json config_from_gguf(const GgufFile& file) {
  const GgufConfigReader read(file, "granite");
  nlohmann::json config = decoder_config_from_gguf(file, "granite");
  config["model_type"] = "granite";
  config["architectures"] = {"GraniteForCausalLM"};
  for (const auto& [key, name] : multipliers) config[name] = read.number(key, 1);
  config["attention_bias"] = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  config["mlp_bias"] = file.find_tensor("blk.0.ffn_up.bias") != nullptr;
  return config;
}

GgufDescription describe_gguf(const nlohmann::json& config) {
  GgufDescription description = describe_decoder<parse>(config);
  const GgufKeyWriter keys(description.keys, "granite");
  for (const auto& [key, name] : multipliers) keys.number(key, ConfigReader(config).number(name, 1));
  return description;
}

nlohmann::json tiny_config() {
  nlohmann::json config = tiny_decoder_config("granite", "GraniteForCausalLM");
  config["embedding_multiplier"] = 0.8;
  config["attention_multiplier"] = 0.5;
  config["residual_multiplier"] = 1.3;
  config["logits_scaling"] = 0.8;
  return config;
}

constexpr std::string_view model_types[] = {"granite"};
constexpr std::string_view gguf_architectures[] = {"granite"};

}  // namespace

extern const FamilyInfo granite_family;
const FamilyInfo granite_family{family_name,         model_types,   gguf_architectures,
                                config_from_gguf,    describe_gguf, decoder_spec<family_name, parse>,
                                load_decoder<parse>, tiny_config};

}  // namespace lowrank
