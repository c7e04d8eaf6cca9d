// OLMo 2 (OLMo Team 2024, arXiv 2501.00656): Llama with norms only after the branches, and norms over all
// query heads together and over all key heads together. OLMo 3 (Team Olmo 2025, arXiv 2512.13961): windows in
// three of four layers, whose rotary frequencies are not scaled.
#include <utility>

#include "model/decoders/decoder.h"
#include "model/gguf/decoder_gguf.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "olmo2";

/// Layers from one with full attention to the next, where the configuration does not say.
constexpr int64_t usual_period = 4;

/// The rotary frequencies of the layers with full attention, and of those with a window: in old files these
/// have the same base without scaling.
std::vector<RopeFrequencies> olmo3_frequencies(nlohmann::json config, int64_t head_dim) {
  if (!ConfigReader(config).has("rope_theta")) config["rope_theta"] = 5e5;
  const nlohmann::json full = with_rope_of(config, "full_attention");
  nlohmann::json sliding = with_rope_of(config, "sliding_attention");
  const RopeFrequencies scaled = rope_frequencies(full, head_dim);
  if (sliding == config) sliding = {{"rope_theta", scaled.theta}};
  return {scaled, rope_frequencies(sliding, head_dim)};
}

void read_olmo3(const nlohmann::json& json, const ConfigReader& read, DecoderConfig& c) {
  if (read.texts("layer_types").empty()) {
    for (int64_t i = 0; i < c.layers; ++i)
      c.windows[i] = (i + 1) % usual_period == 0 ? 0 : read.count("sliding_window", 4096);
  }
  c.rotary = olmo3_frequencies(json, c.head_dim);
  for (int64_t i = 0; i < c.layers; ++i) c.rotary_of[i] = c.windows[i] > 0 ? 1 : 0;
}

bool is_olmo3(const nlohmann::json& json) {
  return ConfigReader(json).text("model_type", "") == "olmo3";
}

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
  if (is_olmo3(json))
    read_olmo3(json, read, c);
  else
    c.rotate(rope_frequencies(json, c.head_dim));
  read.require_text("hidden_act", "silu");
  return c;
}

/// Windows mean OLMo 3, whose files name the same architecture.
nlohmann::json config_from_gguf(const GgufFile& file) {
  const GgufConfigReader read(file, "olmo2");
  nlohmann::json config = decoder_config_from_gguf(file, "olmo2");
  config["attention_bias"] = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  const bool slides = file.find<int64_t>("olmo2.attention.sliding_window").value_or(0) > 0;
  config["model_type"] = slides ? "olmo3" : "olmo2";
  config["architectures"] = {slides ? "Olmo3ForCausalLM" : "Olmo2ForCausalLM"};
  if (!slides) return config;
  config["sliding_window"] = read.count(gguf_key::window);
  config["layer_types"] = read.layer_types(config["num_hidden_layers"].get<int64_t>(), usual_period);
  nlohmann::json full =
      config["rope_scaling"].is_object() ? config["rope_scaling"] : nlohmann::json{{"rope_type", "default"}};
  full["rope_theta"] = config["rope_theta"];
  const double local = read.number(gguf_key::window_theta, config["rope_theta"].get<double>());
  config.erase("rope_scaling");
  config["rope_parameters"] = {{"full_attention", full},
                               {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", local}}}};
  return config;
}

GgufDescription describe_gguf(const nlohmann::json& config) {
  DecoderConfig c = parse(config);
  if (!is_olmo3(config)) return describe_decoder(config, c);
  const RopeFrequencies& local = c.rotary.back();
  require_in_gguf(local.inverse == rope_frequencies({{"rope_theta", local.theta}}, c.head_dim).inverse,
                  "rope_parameters", "must not scale the layers with a window");
  const std::vector<int64_t> windows = std::exchange(c.windows, std::vector<int64_t>(c.layers, 0));
  GgufDescription description = describe_decoder(with_rope_of(config, "full_attention"), c);
  const GgufKeyWriter keys(description.keys, "olmo2");
  keys.number(gguf_key::window_theta, local.theta);
  keys.windows(windows);
  return description;
}

nlohmann::json tiny_config() {
  return tiny_decoder_config("olmo2", "Olmo2ForCausalLM");
}

constexpr std::string_view model_types[] = {"olmo2", "olmo3"};
constexpr std::string_view gguf_architectures[] = {"olmo2"};

}  // namespace

extern const FamilyInfo olmo2_family;
const FamilyInfo olmo2_family{family_name,         model_types,   gguf_architectures,
                              config_from_gguf,    describe_gguf, decoder_spec<family_name, parse>,
                              load_decoder<parse>, tiny_config};

}  // namespace lowrank
