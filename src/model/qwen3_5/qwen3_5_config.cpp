#include "model/qwen3_5/qwen3_5_config.h"

#include <algorithm>

#include <fmt/format.h>

#include "kernels/operations/causal_conv.h"
#include "model/decoders/decoder_spec.h"
#include "model/mixers/gated_attention.h"
#include "model/mixers/gated_delta_net.h"

namespace lowrank {

using qwen3_5_layer::full;
using qwen3_5_layer::linear;

bool is_qwen3_5_wrapper(const nlohmann::json& config, const Qwen35Names& names) {
  return ConfigReader(config).text("model_type", "") == names.wrapper;
}

nlohmann::json qwen3_5_text(const nlohmann::json& config, const Qwen35Names& names) {
  ConfigReader(config).require(is_multimodal(config) || !is_qwen3_5_wrapper(config, names), "text_config",
                               "must be an object");
  nlohmann::json text = text_config(config);
  const ConfigReader read(text);
  text["head_dim"] = read.count("head_dim", 256, most_head_dim);
  if (!read.has("partial_rotary_factor")) text["partial_rotary_factor"] = 0.25;
  return text;
}

std::vector<std::string> qwen3_5_layer_types(const ConfigReader& read, int64_t layers) {
  std::vector<std::string> types = read.texts("layer_types");
  if (types.empty()) {
    const int64_t interval = read.count("full_attention_interval", 4);
    for (int64_t i = 0; i < layers; ++i) types.emplace_back((i + 1) % interval == 0 ? full : linear);
  }
  read.require(std::ssize(types) == layers, "layer_types", "must name the type of each layer");
  for (const std::string& type : types) {
    read.require(type == linear || type == full, "layer_types",
                 "must hold linear_attention or full_attention, not " + type.substr(0, 40));
  }
  read.require(std::ranges::find(types, full) != types.end(), "layer_types",
               "must hold full_attention at least once");
  return types;
}

DeltaRuleShape qwen3_5_heads(const ConfigReader& read) {
  const DeltaRuleShape heads = {read.count("linear_num_key_heads", 16, most_head_dim),
                                read.count("linear_num_value_heads", 32, most_head_dim),
                                read.count("linear_key_head_dim", 128, most_head_dim),
                                read.count("linear_value_head_dim", 128, most_head_dim)};
  read.require(heads.value_heads % heads.key_heads == 0, "linear_num_value_heads",
               "must be a multiple of linear_num_key_heads");
  return heads;
}

int64_t qwen3_5_taps(const ConfigReader& read) {
  return read.count("linear_conv_kernel_dim", 4, most_taps);
}

DecoderConfig parse_qwen3_5(const nlohmann::json& config, const nlohmann::json& text,
                            const Qwen35Names& names) {
  const ConfigReader read(text);
  nlohmann::json common = text;
  common.erase("layer_types");
  DecoderConfig c = read_decoder_config(ConfigReader(common));
  c.gguf_architecture = std::string(names.gguf_architecture);
  c.max_positions = read.count("max_position_embeddings", 32768);
  c.norm_offset = 1;
  c.mlp_bias = false;
  if (is_qwen3_5_wrapper(config, names)) c.names.prefix = "model.language_model.";
  c.names.before_mlp = {"post_attention_layernorm", "post_attention_norm"};
  c.rotate(rope_frequencies(text, rotary_dimension(text, c.head_dim)));
  const GatedDeltaNetSizes sizes{c.hidden, qwen3_5_heads(read), qwen3_5_taps(read), c.epsilon};
  const auto delta = std::make_shared<const MixerKind>(gated_delta_net(sizes));
  const auto gated = std::make_shared<const MixerKind>(gated_attention(c));
  for (const std::string& type : qwen3_5_layer_types(read, c.layers))
    c.mixers.push_back(type == linear ? delta : gated);
  read.require_text("hidden_act", "silu");
  return c;
}

ModelSpec qwen3_5_spec(std::string_view family, const nlohmann::json& config, const DecoderConfig& c) {
  ModelSpec spec = decoder_spec(family, config, c);
  spec.other_towers = {"model.visual.", "mtp."};
  const ConfigReader read(config);
  const int64_t further = read.has(further_key) ? read.count(further_key, std::nullopt, most_layers) : 0;
  for (int64_t i = 0; i < further; ++i) spec.other_towers.push_back(fmt::format("blk.{}.", c.layers + i));
  return spec;
}

nlohmann::json tiny_qwen3_5_config(const Qwen35Names& names) {
  nlohmann::json config = tiny_decoder_config(names.text, names.text_class);
  config["rms_norm_eps"] = 0.01;
  config["num_hidden_layers"] = 3;
  config["full_attention_interval"] = 2;
  config["linear_num_key_heads"] = 2;
  config["linear_num_value_heads"] = 4;
  config["linear_key_head_dim"] = config["linear_value_head_dim"] = 8;
  return config;
}

}  // namespace lowrank
