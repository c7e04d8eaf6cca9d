// Qwen 3.5 (Qwen Team 2026), dense: most layers have a gated DeltaNet, the others gated attention with rotary
// positions on a part of each head. Of the folders of the multimodal models the text model is read.
#include <algorithm>
#include <cmath>
#include <variant>

#include "base/error.h"
#include "kernels/operations/causal_conv.h"
#include "model/decoder.h"
#include "model/gguf/decoder_gguf.h"
#include "model/mixers/gated_attention.h"
#include "model/mixers/gated_delta_net.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "qwen3_5";
constexpr std::string_view linear = "linear_attention", full = "full_attention";
constexpr std::string_view wrapper = "qwen3_5";
/// Blocks behind the layers that predict further tokens; of GGUF files.
constexpr std::string_view further_key = "nextn_predict_layers";

bool is_wrapper(const nlohmann::json& json) {
  return ConfigReader(json).text("model_type", "") == wrapper;
}

/// The text model's own configuration, with the defaults of its class.
nlohmann::json completed(const nlohmann::json& json) {
  ConfigReader(json).require(is_multimodal(json) || !is_wrapper(json), "text_config", "must be an object");
  nlohmann::json text = text_config(json);
  const ConfigReader read(text);
  text["head_dim"] = read.count("head_dim", 256, most_head_dim);
  if (!read.has("partial_rotary_factor")) text["partial_rotary_factor"] = 0.25;
  return text;
}

/// The type of each layer: `layer_types`, else attention in each `full_attention_interval`-th.
std::vector<std::string> layer_types(const ConfigReader& read, int64_t layers) {
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

GatedDeltaNetSizes delta_sizes(const ConfigReader& read, const DecoderConfig& c) {
  GatedDeltaNetSizes sizes{c.hidden, {}, read.count("linear_conv_kernel_dim", 4, most_taps), c.epsilon};
  sizes.heads = {read.count("linear_num_key_heads", 16, most_head_dim),
                 read.count("linear_num_value_heads", 32, most_head_dim),
                 read.count("linear_key_head_dim", 128, most_head_dim),
                 read.count("linear_value_head_dim", 128, most_head_dim)};
  read.require(sizes.heads.value_heads % sizes.heads.key_heads == 0, "linear_num_value_heads",
               "must be a multiple of linear_num_key_heads");
  return sizes;
}

/// From the text model's configuration.
DecoderConfig parse_text(const nlohmann::json& text) {
  const ConfigReader read(text);
  nlohmann::json common = text;
  common.erase("layer_types");
  DecoderConfig c = read_decoder_config(ConfigReader(common));
  c.gguf_architecture = "qwen35";
  c.max_positions = read.count("max_position_embeddings", 32768);
  c.norm_offset = 1;
  c.mlp_bias = false;
  c.names.before_mlp = {"post_attention_layernorm", "post_attention_norm"};
  c.rotate(rope_frequencies(text, rotary_dimension(text, c.head_dim)));
  const auto delta = std::make_shared<const MixerKind>(gated_delta_net(delta_sizes(read, c)));
  const auto gated = std::make_shared<const MixerKind>(gated_attention(c));
  for (const std::string& type : layer_types(read, c.layers))
    c.mixers.push_back(type == linear ? delta : gated);
  read.require_text("hidden_act", "silu");
  return c;
}

DecoderConfig parse(const nlohmann::json& json) {
  DecoderConfig c = parse_text(completed(json));
  if (is_wrapper(json)) c.names.prefix = "model.language_model.";
  return c;
}

ModelSpec spec(const nlohmann::json& json) {
  const DecoderConfig c = parse(json);
  ModelSpec spec = decoder_spec(family_name, json, c);
  spec.other_towers = {"model.visual.", "mtp."};
  const ConfigReader read(json);
  const int64_t further = read.has(further_key) ? read.count(further_key, std::nullopt, most_layers) : 0;
  for (int64_t i = 0; i < further; ++i) spec.other_towers.push_back(fmt::format("blk.{}.", c.layers + i));
  return spec;
}

nlohmann::json config_from_gguf(const GgufFile& file) {
  const GgufConfigReader read(file, "qwen35");
  nlohmann::json config = decoder_config_from_gguf(file, "qwen35", true);
  config["model_type"] = "qwen3_5_text";
  config["architectures"] = {"Qwen3_5ForCausalLM"};
  const auto blocks = config["num_hidden_layers"].get<int64_t>();
  const int64_t further = file.find<int64_t>("qwen35.nextn_predict_layers").value_or(0);
  check(further >= 0 && further < blocks, ErrorKind::invalid, "{}: qwen35.{} is {} of {} blocks",
        file.path().string(), further_key, further, blocks);
  const int64_t layers = blocks - further;
  config["num_hidden_layers"] = layers;
  if (further > 0) config[further_key] = further;
  config["attention_bias"] = false;
  config["linear_conv_kernel_dim"] = read.count("ssm.conv_kernel");
  const int64_t value_heads = read.count("ssm.time_step_rank"), inner = read.count("ssm.inner_size");
  config["linear_num_key_heads"] = read.count("ssm.group_count");
  config["linear_num_value_heads"] = value_heads;
  config["linear_key_head_dim"] = read.count("ssm.state_size");
  config["linear_value_head_dim"] = inner / value_heads;
  const int64_t interval = read.count("full_attention_interval", 4);
  const auto listed = file.metadata().find("qwen35.attention.recurrent_layers");
  const auto* recurrent =
      listed == file.metadata().end() ? nullptr : std::get_if<std::vector<bool>>(&listed->second);
  check(!recurrent || std::ssize(*recurrent) == blocks, ErrorKind::invalid,
        "{}: qwen35.attention.recurrent_layers has {} values for {} blocks", file.path().string(),
        recurrent ? recurrent->size() : 0, blocks);
  for (int64_t i = 0; i < layers; ++i) {
    const bool carries = recurrent ? (*recurrent)[i] : (i + 1) % interval != 0;
    config["layer_types"].push_back(carries ? linear : full);
  }
  return config;
}

/// The number of positions' parts that rotate together, of which GGUF files have four: one text has them all
/// equal.
std::vector<int32_t> sections(const nlohmann::json& text, const DecoderConfig& c) {
  std::vector<int32_t> four(4, 0);
  const auto rotary = text.find("rope_parameters");
  const bool given = rotary != text.end() && rotary->is_object();
  const std::vector<double> listed =
      given ? ConfigReader(*rotary).numbers("mrope_section") : std::vector<double>{};
  if (listed.empty()) four[0] = static_cast<int32_t>(c.rotary.front().inverse.size());
  for (size_t i = 0; i < std::min(listed.size(), four.size()); ++i) four[i] = static_cast<int32_t>(listed[i]);
  return four;
}

GgufDescription describe_gguf(const nlohmann::json& json) {
  const nlohmann::json text = completed(json);
  const DecoderConfig c = parse_text(text);
  const ConfigReader read(text);
  const DeltaRuleShape heads = delta_sizes(read, c).heads;
  require_in_gguf(!c.qkv_bias, "attention_bias", "must be false");
  require_in_gguf(heads.key_dim == heads.value_dim, "linear_value_head_dim",
                  "must equal linear_key_head_dim");
  const std::vector<std::string> types = layer_types(read, c.layers);
  const int64_t interval = std::ranges::find(types, full) - types.begin() + 1;
  for (int64_t i = 0; i < c.layers; ++i) {
    require_in_gguf((types[i] == full) == ((i + 1) % interval == 0), "layer_types",
                    "must have full_attention at regular intervals");
  }
  GgufDescription description = describe_decoder(text, c);
  const GgufKeyWriter keys(description.keys, "qwen35");
  keys.count("ssm.conv_kernel", read.count("linear_conv_kernel_dim", 4, most_taps));
  keys.count("ssm.state_size", heads.key_dim);
  keys.count("ssm.group_count", heads.key_heads);
  keys.count("ssm.time_step_rank", heads.value_heads);
  keys.count("ssm.inner_size", heads.value_heads * heads.value_dim);
  keys.count("full_attention_interval", interval);
  description.keys.set_numbers<int32_t>("qwen35.rope.dimension_sections", sections(text, c));
  if (is_wrapper(json)) description.notes.emplace_back("only the text model is written");
  return description;
}

/// Its second layer has attention; the state of the last one is the output's.
/// The large epsilon keeps the norm of the recurrence's small outputs from magnifying their rounding.
nlohmann::json tiny_config() {
  nlohmann::json config = tiny_decoder_config("qwen3_5_text", "Qwen3_5ForCausalLM");
  config["rms_norm_eps"] = 0.01;
  config["num_hidden_layers"] = 3;
  config["full_attention_interval"] = 2;
  config["linear_num_key_heads"] = 2;
  config["linear_num_value_heads"] = 4;
  config["linear_key_head_dim"] = config["linear_value_head_dim"] = 8;
  return config;
}

constexpr std::string_view model_types[] = {"qwen3_5_text", wrapper};
constexpr std::string_view gguf_architectures[] = {"qwen35"};

}  // namespace

extern const FamilyInfo qwen3_5_family;
const FamilyInfo qwen3_5_family{family_name,   model_types, gguf_architectures,  config_from_gguf,
                                describe_gguf, spec,        load_decoder<parse>, tiny_config};

}  // namespace lowrank
