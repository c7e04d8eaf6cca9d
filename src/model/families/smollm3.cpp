// SmolLM3 (Hugging Face 2025, huggingface.co/blog/smollm3): Llama without rotary positions in some layers
// (NoPE; Kazemnejad et al. 2023, arXiv 2305.19466), by default every fourth.
#include "model/decoders/decoder.h"
#include "model/gguf/decoder_gguf.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "smollm3";

/// [layers] true where a layer rotates: `no_rope_layers` has 1 there.
std::vector<bool> rotating_layers(const ConfigReader& read, int64_t layers) {
  const std::vector<double> listed = read.numbers("no_rope_layers");
  read.require(listed.empty() || std::ssize(listed) == layers, "no_rope_layers",
               "must hold a number for each layer");
  const int64_t interval = read.count("no_rope_layer_interval", 4);
  std::vector<bool> rotating;
  for (int64_t i = 0; i < layers; ++i)
    rotating.push_back(listed.empty() ? (i + 1) % interval != 0 : listed[i] != 0);
  return rotating;
}

DecoderConfig parse(const nlohmann::json& json) {
  const ConfigReader read(json);
  DecoderConfig c = read_decoder_config(read);
  c.gguf_architecture = "smollm3";
  c.rotary_order = true;
  c.tied = read.flag("tie_word_embeddings", true);
  nlohmann::json rotary = json;
  if (!read.has("rope_theta")) rotary["rope_theta"] = 2e6;
  c.rotate(rope_frequencies(rotary, c.head_dim));
  const std::vector<bool> rotating = rotating_layers(read, c.layers);
  const bool slides = read.texts("layer_types").empty() && read.flag("use_sliding_window", false) &&
                      read.has("sliding_window");
  for (int64_t i = 0; i < c.layers; ++i) {
    if (rotating[i]) continue;
    c.rotary_of[i] = -1;
    if (slides) c.windows[i] = read.count("sliding_window");
  }
  read.require_text("hidden_act", "silu");
  return c;
}

nlohmann::json config_from_gguf(const GgufFile& file) {
  nlohmann::json config = decoder_config_from_gguf(file, "smollm3");
  config["model_type"] = "smollm3";
  config["architectures"] = {"SmolLM3ForCausalLM"};
  config["attention_bias"] = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  config["mlp_bias"] = file.find_tensor("blk.0.ffn_up.bias") != nullptr;
  return config;
}

/// The file does not say which layers rotate: all but every fourth.
GgufDescription describe_gguf(const nlohmann::json& config) {
  const DecoderConfig c = parse(config);
  for (int64_t i = 0; i < c.layers; ++i)
    require_in_gguf((c.rotary_of[i] < 0) == ((i + 1) % 4 == 0), "no_rope_layers", "must be every fourth");
  return describe_decoder(config, c);
}

/// Its second layer does not rotate.
nlohmann::json tiny_config() {
  nlohmann::json config = tiny_decoder_config("smollm3", "SmolLM3ForCausalLM");
  config["no_rope_layers"] = {1, 0};
  return config;
}

constexpr std::string_view model_types[] = {"smollm3"};
constexpr std::string_view gguf_architectures[] = {"smollm3"};

}  // namespace

extern const FamilyInfo smollm3_family;
const FamilyInfo smollm3_family{family_name,         model_types,   gguf_architectures,
                                config_from_gguf,    describe_gguf, decoder_spec<family_name, parse>,
                                load_decoder<parse>, tiny_config};

}  // namespace lowrank
