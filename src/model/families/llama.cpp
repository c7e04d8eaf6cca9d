// Llama, and the decoders that differ from it in details: RMSNorm before each branch, rotary positions,
// grouped-query attention, SwiGLU.
// Llama: Touvron et al. 2023 (arXiv 2302.13971, 2307.09288). Mistral: a window (arXiv 2310.06825). Qwen 2:
// biases on q, k, v (arXiv 2407.10671). Qwen 3: norms on query and key heads (arXiv 2505.09388).
#include <algorithm>

#include "model/decoders/decoder.h"
#include "model/gguf/decoder_gguf.h"
#include "model/gguf/experts_gguf.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "llama";

DecoderConfig parse(const nlohmann::json& json) {
  const ConfigReader read(json);
  DecoderConfig c = read_decoder_config(read);
  const std::string type = read.text("model_type", "llama");
  const bool qwen = type == "qwen2" || type == "qwen3";
  c.gguf_architecture = type == "mistral" ? "llama" : type;
  c.rotary_order = !qwen;
  if (type == "qwen2") {
    c.qkv_bias = read.flag("attention_bias", true);
    c.out_bias = false;
  }
  if (type == "qwen3") {
    c.names.query_norm = {"self_attn.q_norm", "attn_q_norm"};
    c.names.key_norm = {"self_attn.k_norm", "attn_k_norm"};
  }
  c.rotate(rope_frequencies(json, c.head_dim));
  read.require_text("hidden_act", "silu");
  if (!read.texts("layer_types").empty()) return c;
  if (type == "mistral" && read.has("sliding_window"))
    c.windows.assign(c.layers, read.count("sliding_window"));
  if (qwen && read.flag("use_sliding_window", false) && read.has("sliding_window")) {
    const auto first = static_cast<int64_t>(
        std::clamp(read.number("max_window_layers", 28), 0.0, static_cast<double>(c.layers)));
    std::fill(c.windows.begin() + first, c.windows.end(), read.count("sliding_window"));
  }
  return c;
}

nlohmann::json config_from_gguf(const GgufFile& file) {
  const auto architecture = file.get<std::string>("general.architecture");
  if (architecture == "llama" && file.find<int64_t>("llama.expert_count").value_or(0) > 0)
    return mixtral_config_from_gguf(file);
  nlohmann::json config = decoder_config_from_gguf(file, architecture);
  config["model_type"] = architecture;
  config["architectures"] = {architecture == "llama"   ? "LlamaForCausalLM"
                             : architecture == "qwen2" ? "Qwen2ForCausalLM"
                                                       : "Qwen3ForCausalLM"};
  config["hidden_act"] = "silu";
  if (architecture != "qwen2") config["attention_bias"] = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  if (architecture == "llama") config["mlp_bias"] = file.find_tensor("blk.0.ffn_up.bias") != nullptr;
  return config;
}

nlohmann::json tiny_config() {
  nlohmann::json config = tiny_decoder_config("llama", "LlamaForCausalLM");
  config["rope_theta"] = 10000.0;
  config["hidden_act"] = "silu";
  return config;
}

constexpr std::string_view model_types[] = {"llama", "mistral", "qwen2", "qwen3"};
constexpr std::string_view gguf_architectures[] = {"llama", "qwen2", "qwen3"};

}  // namespace

extern const FamilyInfo llama_family;
const FamilyInfo llama_family{family_name,
                              model_types,
                              gguf_architectures,
                              config_from_gguf,
                              describe_decoder<parse>,
                              decoder_spec<family_name, parse>,
                              load_decoder<parse>,
                              tiny_config};

}  // namespace lowrank
