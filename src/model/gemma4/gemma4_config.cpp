#include "model/gemma4/gemma4_config.h"

#include <algorithm>

#include "base/error.h"
#include "model/config_reader.h"
#include "model/decoder_config.h"

namespace lowrank {
namespace {

/// [layers] true for layers with a window. The last layer has none, whatever is written.
std::vector<bool> sliding_layers(const ConfigReader& read, int64_t layers) {
  constexpr int64_t usual_period = 6;
  const std::vector<std::string> types = read.texts("layer_types");
  read.require(types.empty() || std::ssize(types) == layers, "layer_types",
               "must name the type of each layer");
  std::vector<bool> slides;
  for (int64_t i = 0; i < layers; ++i) {
    const std::string type = !types.empty()                ? types[i]
                             : (i + 1) % usual_period != 0 ? "sliding_attention"
                                                           : "full_attention";
    read.require(type == "sliding_attention" || type == "full_attention", "layer_types",
                 "must hold full_attention or sliding_attention, not " + type.substr(0, 40));
    slides.push_back(type == "sliding_attention" && i + 1 < layers);
  }
  return slides;
}

/// What `per_layer_config` says of a layer; empty where it says nothing.
nlohmann::json own_config(const nlohmann::json& config, int64_t layer) {
  const auto all = config.find("per_layer_config");
  if (all == config.end() || !all->is_object()) return nlohmann::json::object();
  nlohmann::json own = all->value(std::to_string(layer), nlohmann::json::object());
  ConfigReader(config).require(own.is_object(), "per_layer_config", "must hold an object for each layer");
  return own;
}

/// Sizes of heads: as transformers writes them since 5.24 (`per_layer_config`), or as `global_head_dim` and
/// `num_global_key_value_heads` of the layers with full attention.
void read_heads(const nlohmann::json& config, const ConfigReader& read, int64_t number, bool slides,
                Gemma4Layer& layer) {
  const bool per_layer = read.has("per_layer_config");
  const bool keys_are_values = read.flag("attention_k_eq_v", false);
  layer.head_dim = read.count("head_dim", 256, most_head_dim);
  layer.kv_heads = read.count("num_key_value_heads", 4);
  if (!slides && !per_layer) {
    layer.head_dim = read.count("global_head_dim", 512, most_head_dim);
    if (keys_are_values) layer.kv_heads = read.count("num_global_key_value_heads", layer.kv_heads);
  }
  const nlohmann::json own = own_config(config, number);
  layer.head_dim = ConfigReader(own).count("head_dim", layer.head_dim, most_head_dim);
  layer.kv_heads = ConfigReader(own).count("num_key_value_heads", layer.kv_heads);
  layer.value_is_key = keys_are_values && !slides;
}

void read_layers(const nlohmann::json& config, const ConfigReader& read, Gemma4Config& c) {
  const int64_t count = read.count("num_hidden_layers", 30, most_layers);
  const std::vector<bool> slides = sliding_layers(read, count);
  const double shared = read.number("num_kv_shared_layers", 0);
  read.require(shared >= 0 && shared < static_cast<double>(count) && shared == static_cast<int64_t>(shared),
               "num_kv_shared_layers", "must be a whole number below num_hidden_layers");
  const int64_t first_shared = count - static_cast<int64_t>(shared);
  const bool doubled = read.flag("use_double_wide_mlp", false);
  int64_t last_sliding = -1, last_full = -1;
  for (int64_t i = 0; i < count; ++i) {
    Gemma4Layer layer;
    layer.window = slides[i] ? read.count("sliding_window", 512) : 0;
    layer.ff = read.count("intermediate_size", 9216) * (doubled && i >= first_shared ? 2 : 1);
    read_heads(config, read, i, slides[i], layer);
    read.require(layer.head_dim % 2 == 0, "head_dim", "must be even");
    read.require(c.heads % layer.kv_heads == 0, "num_key_value_heads", "must divide num_attention_heads");
    int64_t& last = slides[i] ? last_sliding : last_full;
    if (i < first_shared) last = i;
    read.require(last >= 0, "num_kv_shared_layers",
                 "must leave a layer of each type with its own keys and values");
    layer.source = last;
    c.layers.push_back(layer);
    const Gemma4Layer& source = c.layers[last];
    read.require(source.head_dim == layer.head_dim && source.kv_heads == layer.kv_heads, "per_layer_config",
                 "must give layers that share keys and values the same heads");
  }
}

nlohmann::json with_usual_rotary(nlohmann::json config) {
  if (!ConfigReader(config).has("rope_parameters")) {
    config["rope_parameters"] = {
        {"full_attention",
         {{"rope_type", "proportional"}, {"partial_rotary_factor", 0.25}, {"rope_theta", 1e6}}},
        {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 1e4}}}};
  }
  return config;
}

/// The size of the heads of one type of layers. Errors: invalid where they have several.
int64_t head_dim_of(const ConfigReader& read, const Gemma4Config& c, bool slides) {
  int64_t size = 0;
  for (const Gemma4Layer& layer : c.layers) {
    if (layer.slides() != slides) continue;
    read.require(size == 0 || size == layer.head_dim, "per_layer_config",
                 "must give all layers of a type heads of the same size");
    size = layer.head_dim;
  }
  return std::max<int64_t>(size, 2);
}

void refuse_other_forms(const ConfigReader& read) {
  check(read.text("use_bidirectional_attention", "") != "all", ErrorKind::unsupported,
        "config: use_bidirectional_attention is \"all\", but only causal models are supported");
}

/// The experts beside each MLP: a router that reads the stream, normed and scaled, and a factor on each
/// expert's output.
ExpertsConfig experts_of(const ConfigReader& read, int64_t layers) {
  if (!read.flag("enable_moe_block", false)) return {};
  ExpertsConfig experts = read_experts(read, layers, "num_experts", "top_k_experts");
  experts.ff = read.count("moe_intermediate_size");
  experts.only_stacked = experts.plain_router = true;
  experts.activation = Activation::gelu_tanh;
  experts.router.name = "router.proj";
  experts.input_scales = {"router.scale", "ffn_gate_inp.scale"};
  experts.output_scales = {"router.per_expert_scale", "ffn_down_exps.scale"};
  experts.folder = experts.stack = "experts.";
  return experts;
}

}  // namespace

bool Gemma4Config::is_read_later(int64_t layer) const {
  return std::any_of(layers.begin() + layer + 1, layers.end(),
                     [&](const Gemma4Layer& later) { return later.source == layer; });
}

int64_t Gemma4Config::shared_layers() const {
  int64_t shared = 0;
  for (int64_t i = 0; i < count(); ++i) shared += is_source(i) ? 0 : 1;
  return shared;
}

Gemma4Config read_gemma4(const nlohmann::json& json) {
  const nlohmann::json config = with_usual_rotary(text_config(json));
  const ConfigReader read(config);
  refuse_other_forms(read);
  Gemma4Config c;
  c.hidden = read.count("hidden_size");
  c.heads = read.count("num_attention_heads", 8);
  c.vocabulary = read.count("vocab_size");
  c.max_positions = read.count("max_position_embeddings", 131072);
  c.epsilon = read.positive("rms_norm_eps", 1e-6);
  c.tied = read.flag("tie_word_embeddings", true);
  c.bias = read.flag("attention_bias", false);
  c.logit_softcap = read.has("final_logit_softcapping") ? read.positive("final_logit_softcapping", 1) : 0;
  const bool none =
      config.contains("hidden_size_per_layer_input") &&
      (config["hidden_size_per_layer_input"].is_null() || config["hidden_size_per_layer_input"] == 0);
  c.layer_input = none ? 0 : read.count("hidden_size_per_layer_input", 256);
  read.require(c.layer_input == 0 || read.count("vocab_size_per_layer_input", 262144) == c.vocabulary,
               "vocab_size_per_layer_input", "must be the same as vocab_size");
  read.require_text("hidden_activation", "gelu_pytorch_tanh");
  read_layers(config, read, c);
  c.experts = experts_of(read, c.count());
  c.full = rope_frequencies(with_rope_of(config, "full_attention"), head_dim_of(read, c, false));
  c.sliding = rope_frequencies(with_rope_of(config, "sliding_attention"), head_dim_of(read, c, true));
  if (is_multimodal(json)) c.prefix = "model.language_model.";
  return c;
}

}  // namespace lowrank
