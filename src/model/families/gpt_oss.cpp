// gpt-oss (OpenAI 2025, arXiv 2508.10925): experts in every layer with biases and a clamped unit, sinks in
// attention, every second layer with a window, yarn. Folders hold experts in MXFP4 or expanded.
#include "base/error.h"
#include "model/decoders/decoder.h"
#include "model/gguf/experts_gguf.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "gpt_oss";
constexpr const char* architecture = "gpt-oss";
constexpr double usual_limit = 7, usual_alpha = 1.702;

/// The configuration with the family's own scaling if it names none.
nlohmann::json with_scaling(const nlohmann::json& config) {
  const ConfigReader read(config);
  if (read.has("rope_parameters") || read.has("rope_scaling")) return config;
  nlohmann::json changed = config;
  changed["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 32.0},
                             {"beta_fast", 32.0},   {"beta_slow", 1.0},
                             {"truncate", false},   {"original_max_position_embeddings", 4096}};
  if (!read.has("rope_theta")) changed["rope_theta"] = 150000.0;
  return changed;
}

ExpertsConfig experts_of(const ConfigReader& read, const DecoderConfig& c) {
  ExpertsConfig experts = read_experts(read, c.layers, "num_local_experts", 128, 4);
  experts.ff = c.ff;
  experts.biases = experts.interleaved = experts.only_stacked = true;
  experts.limit = read.positive("swiglu_limit", usual_limit);
  experts.alpha = read.positive("swiglu_alpha", usual_alpha);
  experts.router.name = "mlp.router";
  return experts;
}

DecoderConfig parse(const nlohmann::json& json) {
  nlohmann::json config = with_scaling(json);
  if (!ConfigReader(config).has("head_dim")) config["head_dim"] = 64;
  const ConfigReader read(config);
  DecoderConfig c = read_decoder_config(read);
  c.gguf_architecture = architecture;
  c.epsilon = read.positive("rms_norm_eps", 1e-5);
  c.qkv_bias = c.out_bias = read.flag("attention_bias", true);
  c.mlp_bias = false;
  c.names.sinks = {"self_attn.sinks", "attn_sinks"};
  c.names.before_mlp.gguf_name = "post_attention_norm";
  c.rotate(rope_frequencies(config, c.head_dim));
  if (read.texts("layer_types").empty()) {
    for (int64_t layer = 0; layer < c.layers; layer += 2)
      c.windows[layer] = read.count("sliding_window", 128);
  }
  read.require_text("hidden_act", "silu");
  c.experts = experts_of(read, c);
  return c;
}

nlohmann::json config_from_gguf(const GgufFile& file) {
  const GgufConfigReader read(file, architecture);
  nlohmann::json config = decoder_config_from_gguf(file, architecture);
  config["model_type"] = "gpt_oss";
  config["architectures"] = {"GptOssForCausalLM"};
  config["hidden_act"] = "silu";
  config["attention_bias"] = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  config["intermediate_size"] = read.count(gguf_key::expert_ff, config["intermediate_size"].get<int64_t>());
  config["sliding_window"] = read.count(gguf_key::window);
  if (config["rope_scaling"].is_object()) config["rope_scaling"]["truncate"] = false;
  if (config["rope_scaling"].is_null()) config["rope_scaling"] = {{"rope_type", "default"}};
  read_expert_counts(file, architecture, config);
  return config;
}

/// Such a file means windows in every second layer, beginning with the first, and the usual limit and alpha.
GgufDescription describe_gguf(const nlohmann::json& json) {
  DecoderConfig c = parse(json);
  const int64_t window = c.windows.front();
  for (int64_t layer = 0; layer < c.layers; ++layer)
    require_in_gguf(c.windows[layer] == (layer % 2 == 0 ? window : 0) && window > 0, "layer_types",
                    "must be sliding_attention and full_attention in turns");
  require_in_gguf(c.experts.limit == usual_limit, "swiglu_limit", "must be 7");
  require_in_gguf(c.experts.alpha == usual_alpha, "swiglu_alpha", "must be 1.702");
  c.windows.assign(c.layers, 0);
  nlohmann::json config = with_scaling(json);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (!config.contains(key) || !config[key].is_object()) continue;
    const ConfigReader scaling(config[key]);
    require_in_gguf(scaling.text("rope_type", "default") != "yarn" || !scaling.flag("truncate", true),
                    "truncate", "must be false");
    config[key].erase("truncate");
  }
  GgufDescription description = describe_experts(config, c);
  const GgufKeyWriter keys(description.keys, architecture);
  keys.count(gguf_key::expert_ff, c.experts.ff);
  keys.count(gguf_key::window, window);
  return description;
}

/// The first layer has a window of 6, the limit is reached, and each token uses all experts: where it chooses
/// some, rounding to bf16 can change the choice.
nlohmann::json tiny_config() {
  nlohmann::json config = tiny_decoder_config("gpt_oss", "GptOssForCausalLM");
  config["num_local_experts"] = 4;
  config["num_experts_per_tok"] = 4;
  config["intermediate_size"] = 16;
  config["sliding_window"] = 6;
  config["swiglu_limit"] = 1.5;
  config["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4.0},
                            {"beta_fast", 4.0},    {"beta_slow", 1.0},
                            {"truncate", false},   {"original_max_position_embeddings", 32}};
  return config;
}

constexpr std::string_view model_types[] = {"gpt_oss"};
constexpr std::string_view gguf_architectures[] = {architecture};

}  // namespace

extern const FamilyInfo gpt_oss_family;
const FamilyInfo gpt_oss_family{family_name,         model_types,   gguf_architectures,
                                config_from_gguf,    describe_gguf, decoder_spec<family_name, parse>,
                                load_decoder<parse>, tiny_config};

}  // namespace lowrank
