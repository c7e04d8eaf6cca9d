// LFM2 and LFM2.5 (Liquid AI 2025, arXiv 2511.23404): most layers have a gated short convolution in the place
// of attention; the others norms on query and key heads.
#include <algorithm>
#include <cmath>
#include <variant>

#include "base/error.h"
#include "kernels/operations/causal_conv.h"
#include "model/decoders/decoder.h"
#include "model/gguf/decoder_gguf.h"
#include "model/mixers/short_convolution.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "lfm2";
constexpr std::string_view convolution = "conv", attention = "full_attention";
constexpr std::string_view kv_heads_key = "lfm2.attention.head_count_kv";

/// The type of each layer: `layer_types`, or `full_attn_idxs` of older files, else attention everywhere.
std::vector<std::string> layer_types(const ConfigReader& read) {
  const int64_t layers = read.count("num_hidden_layers", std::nullopt, most_layers);
  std::vector<std::string> types = read.texts("layer_types");
  if (types.empty()) {
    const bool listed = read.has("full_attn_idxs");
    types.assign(layers, std::string(listed ? convolution : attention));
    for (const double index : read.numbers("full_attn_idxs")) {
      read.require(index >= 0 && index < static_cast<double>(layers) && index == std::floor(index),
                   "full_attn_idxs", "must hold numbers of layers");
      types[static_cast<size_t>(index)] = attention;
    }
  }
  read.require(std::ssize(types) == layers, "layer_types", "must name the type of each layer");
  for (const std::string& type : types) {
    read.require(type == convolution || type == attention, "layer_types",
                 "must hold conv or full_attention, not " + type.substr(0, 40));
  }
  read.require(std::ranges::find(types, attention) != types.end(), "layer_types",
               "must hold full_attention at least once");
  return types;
}

/// The width of the MLP: by default two thirds of the given one, rounded up.
int64_t mlp_width(const ConfigReader& read) {
  const int64_t given =
      read.has("block_ff_dim") ? read.count("block_ff_dim") : read.count("intermediate_size");
  if (!read.flag("block_auto_adjust_ff_dim", true)) return given;
  const int64_t two_thirds = 2 * given / 3;
  const double adjusted = static_cast<double>(two_thirds) * read.positive("block_ffn_dim_multiplier", 1);
  read.require(adjusted >= 1 && adjusted < static_cast<double>(most_count), "block_ffn_dim_multiplier",
               fmt::format("must give a width of 1 to {}", most_count));
  const int64_t multiple = read.count("block_multiple_of", 256);
  return (static_cast<int64_t>(adjusted) + multiple - 1) / multiple * multiple;
}

/// The configuration with the keys that decoders share.
nlohmann::json with_common_keys(const nlohmann::json& json, const ConfigReader& read) {
  nlohmann::json config = json;
  config.erase("layer_types");
  config["intermediate_size"] = mlp_width(read);
  config["rms_norm_eps"] = read.positive("norm_eps", 1e-5);
  config["tie_word_embeddings"] = read.flag("tie_embedding", read.flag("tie_word_embeddings", true));
  config["max_position_embeddings"] = read.count("max_position_embeddings", 128'000);
  if (!read.has("rope_theta")) config["rope_theta"] = 1e6;
  return config;
}

DecoderNames names() {
  DecoderNames names;
  names.final_norm = {"embedding_norm", "token_embd_norm"};
  names.attention_out = {"self_attn.out_proj", "attn_output"};
  names.query_norm = {"self_attn.q_layernorm", "attn_q_norm"};
  names.key_norm = {"self_attn.k_layernorm", "attn_k_norm"};
  names.before_attention = {"operator_norm", "attn_norm"};
  names.before_mlp = {"ffn_norm", "ffn_norm"};
  names.gate = {"feed_forward.w1", "ffn_gate"};
  names.up = {"feed_forward.w3", "ffn_up"};
  names.down = {"feed_forward.w2", "ffn_down"};
  return names;
}

DecoderConfig parse(const nlohmann::json& json) {
  const ConfigReader own(json);
  const std::vector<std::string> types = layer_types(own);
  const nlohmann::json config = with_common_keys(json, own);
  DecoderConfig c = read_decoder_config(ConfigReader(config));
  c.gguf_architecture = "lfm2";
  c.qkv_bias = c.out_bias = c.mlp_bias = false;
  c.names = names();
  own.require(own.count("conv_dim", c.hidden) == c.hidden, "conv_dim", "must equal hidden_size");
  c.rotate(rope_frequencies(config, c.head_dim));
  const auto mixer = std::make_shared<const MixerKind>(
      short_convolution(c.hidden, own.count("conv_L_cache", 3, most_taps), own.flag("conv_bias", false)));
  for (const std::string& type : types) c.mixers.push_back(type == convolution ? mixer : nullptr);
  return c;
}

/// [layers] key heads; 0: a convolution.
std::vector<int64_t> kv_heads_of(const GgufFile& file) {
  const auto listed = file.metadata().find(kv_heads_key);
  const auto* heads =
      listed == file.metadata().end() ? nullptr : std::get_if<std::vector<int64_t>>(&listed->second);
  if (heads) return *heads;
  const GgufConfigReader read(file, "lfm2");
  return std::vector<int64_t>(read.count(gguf_key::layers, std::nullopt, most_layers),
                              read.count(gguf_key::kv_heads));
}

nlohmann::json config_from_gguf(const GgufFile& file) {
  const GgufConfigReader read(file, "lfm2");
  nlohmann::json config = decoder_config_from_gguf(file, "lfm2");
  config["model_type"] = "lfm2";
  config["architectures"] = {"Lfm2ForCausalLM"};
  config["block_auto_adjust_ff_dim"] = false;
  config["norm_eps"] = config["rms_norm_eps"];
  config["conv_L_cache"] = read.count("shortconv.l_cache");
  const std::vector<int64_t> heads = kv_heads_of(file);
  for (const int64_t count : heads) {
    config["layer_types"].push_back(count == 0 ? convolution : attention);
    const bool same = count == 0 || count == config["num_key_value_heads"].get<int64_t>();
    check(same, ErrorKind::unsupported, "{}: {} differs among layers with attention", file.path().string(),
          kv_heads_key);
  }
  return config;
}

GgufDescription describe_gguf(const nlohmann::json& config) {
  const DecoderConfig c = parse(config);
  const ConfigReader read(config);
  require_in_gguf(!read.flag("conv_bias", false), "conv_bias", "must be false");
  GgufDescription description = describe_decoder(config, c);
  std::vector<int32_t> heads;
  for (int64_t i = 0; i < c.layers; ++i)
    heads.push_back(c.mixer_of(i) ? 0 : static_cast<int32_t>(c.kv_heads));
  description.keys.set_numbers<int32_t>(kv_heads_key, heads);
  const GgufKeyWriter keys(description.keys, "lfm2");
  keys.count("shortconv.l_cache", read.count("conv_L_cache", 3, most_taps));
  return description;
}

/// Its second layer has attention; the state of the last one is the output's.
nlohmann::json tiny_config() {
  nlohmann::json config = tiny_decoder_config("lfm2", "Lfm2ForCausalLM");
  config["num_hidden_layers"] = 3;
  config["layer_types"] = {convolution, attention, convolution};
  config["block_auto_adjust_ff_dim"] = false;
  config["tie_word_embeddings"] = true;
  return config;
}

constexpr std::string_view model_types[] = {"lfm2"};
constexpr std::string_view gguf_architectures[] = {"lfm2"};

}  // namespace

extern const FamilyInfo lfm2_family;
const FamilyInfo lfm2_family{family_name,         model_types,   gguf_architectures,
                             config_from_gguf,    describe_gguf, decoder_spec<family_name, parse>,
                             load_decoder<parse>, tiny_config};

}  // namespace lowrank
