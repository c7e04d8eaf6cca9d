// OLMo 2 (OLMo Team 2024, arXiv 2501.00656): Llama with norms only after the branches, and norms over all
// query heads together and over all key heads together.
#include "base/error.h"
#include "model/decoder.h"
#include "model/gguf/decoder_gguf.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "olmo2";

DecoderConfig parse(const nlohmann::json& json) {
  const ConfigReader read(json);
  DecoderConfig c = read_decoder_config(read);
  c.gguf_architecture = "olmo2";
  c.epsilon = read.positive("rms_norm_eps", 1e-5);
  c.norm_all_heads = true;
  c.names.before_attention = c.names.before_mlp = {};
  c.names.after_attention = {"post_attention_layernorm", "post_attention_norm"};
  c.names.after_mlp = {"post_feedforward_layernorm", "post_ffw_norm"};
  c.names.query_norm = {"self_attn.q_norm", "attn_q_norm"};
  c.names.key_norm = {"self_attn.k_norm", "attn_k_norm"};
  c.rotate(rope_frequencies(json, c.head_dim));
  read.require_text("hidden_act", "silu");
  return c;
}

/// Windows mean OLMo 3, whose files name the same architecture.
nlohmann::json config_from_gguf(const GgufFile& file) {
  for (const char* key : {"olmo2.attention.sliding_window", "olmo2.attention.sliding_window_pattern"}) {
    check(!file.metadata().contains(key), ErrorKind::unsupported,
          "{}: {} is OLMo 3's, which is not supported", file.path().string(), key);
  }
  nlohmann::json config = decoder_config_from_gguf(file, "olmo2");
  config["model_type"] = "olmo2";
  config["architectures"] = {"Olmo2ForCausalLM"};
  config["attention_bias"] = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  return config;
}

nlohmann::json tiny_config() {
  return tiny_decoder_config("olmo2", "Olmo2ForCausalLM");
}

constexpr std::string_view model_types[] = {"olmo2"};
constexpr std::string_view gguf_architectures[] = {"olmo2"};

}  // namespace

extern const FamilyInfo olmo2_family;
const FamilyInfo olmo2_family{family_name,
                              model_types,
                              gguf_architectures,
                              config_from_gguf,
                              describe_decoder<parse>,
                              decoder_spec<family_name, parse>,
                              load_decoder<parse>,
                              tiny_config};

}  // namespace lowrank
