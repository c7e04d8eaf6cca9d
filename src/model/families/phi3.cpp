// Phi-3 and Phi-4-mini (Microsoft 2024 and 2025, arXiv 2404.14219, 2503.01743): Llama with one matrix for q,
// k and v and one for gate and up, rotary positions on part of each head, and longrope.
#include "model/decoders/decoder.h"
#include "model/gguf/decoder_gguf.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "phi3";

/// The configuration in the form that `rope_frequencies` expects: old files call longrope `su` or `yarn`, and
/// the length from which it applies is a key of its own.
nlohmann::json with_longrope(const nlohmann::json& config) {
  nlohmann::json changed = config;
  changed["original_max_position_embeddings"] =
      ConfigReader(config).count("original_max_position_embeddings", 4096);
  for (const char* outer : {"rope_parameters", "rope_scaling"}) {
    const auto scaling = changed.find(outer);
    if (scaling == changed.end() || !scaling->is_object()) continue;
    const ConfigReader read(*scaling);
    const std::string type = read.text("rope_type", read.text("type", "default"));
    read.require(type == "default" || type == "longrope" || type == "su" || type == "yarn", "rope_type",
                 "must be default or longrope in a Phi-3 model, not " + type.substr(0, 40));
    if (type != "default") (*scaling)["rope_type"] = "longrope";
  }
  return changed;
}

DecoderConfig parse(const nlohmann::json& json) {
  const ConfigReader read(json);
  DecoderConfig c = read_decoder_config(read);
  c.gguf_architecture = "phi3";
  c.epsilon = read.positive("rms_norm_eps", 1e-5);
  c.qkv_bias = c.out_bias = c.mlp_bias = false;
  c.names.query_key_value = {"self_attn.qkv_proj", "attn_qkv"};
  c.names.gate_up = {"mlp.gate_up_proj", "ffn_up"};
  c.rotate(rope_frequencies(with_longrope(json), rotary_dimension(json, c.head_dim)));
  if (read.has("sliding_window")) c.windows.assign(c.layers, read.count("sliding_window"));
  read.require_text("hidden_act", "silu");
  return c;
}

nlohmann::json config_from_gguf(const GgufFile& file) {
  const GgufConfigReader read(file, "phi3");
  nlohmann::json config = decoder_config_from_gguf(file, "phi3", true);
  config["model_type"] = "phi3";
  config["architectures"] = {"Phi3ForCausalLM"};
  if (const auto original = file.find<int64_t>("phi3.rope.scaling.original_context_length"))
    config["original_max_position_embeddings"] = *original;
  if (file.find<int64_t>("phi3.attention.sliding_window").value_or(0) > 0)
    config["sliding_window"] = read.count(gguf_key::window);
  return config;
}

GgufDescription describe_gguf(const nlohmann::json& config) {
  DecoderConfig c = parse(config);
  const int64_t window = c.windows.front();
  c.windows.assign(c.layers, 0);
  GgufDescription description = describe_decoder(with_longrope(config), c);
  const GgufKeyWriter keys(description.keys, "phi3");
  keys.count(gguf_key::original_context,
             ConfigReader(config).count("original_max_position_embeddings", 4096));
  keys.count(gguf_key::window, window);
  return description;
}

/// Six of eight dimensions rotate; texts of up to 64 positions count as short.
nlohmann::json tiny_config() {
  nlohmann::json config = tiny_decoder_config("phi3", "Phi3ForCausalLM");
  config["original_max_position_embeddings"] = 64;
  config["partial_rotary_factor"] = 0.75;
  config["rope_scaling"] = {
      {"type", "longrope"}, {"long_factor", {1.0, 2.2, 3.9}}, {"short_factor", {1.0, 1.1, 1.2}}};
  return config;
}

constexpr std::string_view model_types[] = {"phi3"};
constexpr std::string_view gguf_architectures[] = {"phi3"};

}  // namespace

extern const FamilyInfo phi3_family;
const FamilyInfo phi3_family{family_name,         model_types,   gguf_architectures,
                             config_from_gguf,    describe_gguf, decoder_spec<family_name, parse>,
                             load_decoder<parse>, tiny_config};

}  // namespace lowrank
