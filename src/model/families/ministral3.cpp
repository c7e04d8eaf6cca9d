// Ministral 3 (Mistral AI 2025, mistral.ai/news/mistral-3): Llama with yarn, and queries that grow with the
// logarithm of their position (Nakanishi 2025, arXiv 2501.19399). `mistral3` is the multimodal model, of
// which the text part is used.
#include <cmath>

#include "model/decoders/decoder.h"
#include "model/gguf/decoder_gguf.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "ministral3";

/// The rotary parameters of a configuration without its own.
nlohmann::json usual_rotary() {
  return {{"rope_type", "yarn"},
          {"rope_theta", 1e6},
          {"factor", 16.0},
          {"original_max_position_embeddings", 16384},
          {"beta_fast", 32.0},
          {"beta_slow", 1.0},
          {"mscale", 1.0},
          {"mscale_all_dim", 1.0},
          {"llama_4_scaling_beta", 0.1}};
}

/// The text part's configuration, with what it may leave out.
nlohmann::json completed(const nlohmann::json& json) {
  nlohmann::json config = text_config(json);
  const ConfigReader read(config);
  if (!read.has("head_dim")) config["head_dim"] = 128;
  if (!read.has("max_position_embeddings")) config["max_position_embeddings"] = 262144;
  if (!read.has("rope_parameters")) {
    config["rope_parameters"] = read.has("rope_scaling") ? config["rope_scaling"] : usual_rotary();
  }
  read.require(config["rope_parameters"].is_object(), "rope_parameters", "must be an object");
  return config;
}

/// How queries grow with their position.
void read_growth(const nlohmann::json& rotary, RopeFrequencies& frequencies) {
  const ConfigReader read(rotary);
  frequencies.query_growth = read.number("llama_4_scaling_beta", 0);
  if (frequencies.query_growth != 0)
    frequencies.query_growth_length = read.count("original_max_position_embeddings");
}

DecoderConfig parse(const nlohmann::json& json) {
  const nlohmann::json config = completed(json);
  const ConfigReader read(config);
  DecoderConfig c = read_decoder_config(read);
  c.gguf_architecture = "mistral3";
  c.epsilon = read.positive("rms_norm_eps", 1e-5);
  c.qkv_bias = c.out_bias = c.mlp_bias = false;
  c.rotary_order = true;
  c.rotate(rope_frequencies(config, c.head_dim));
  read_growth(config["rope_parameters"], c.rotary.front());
  if (read.texts("layer_types").empty() && read.has("sliding_window"))
    c.windows.assign(c.layers, read.count("sliding_window"));
  read.require_text("hidden_act", "silu");
  if (is_multimodal(json)) c.names.prefix = "model.language_model.";
  return c;
}

/// PEFT names modules as transformers does in memory, and the files name them differently.
ModelSpec spec_of(const nlohmann::json& config) {
  const DecoderConfig c = parse(config);
  ModelSpec spec = decoder_spec(family_name, config, c);
  if (is_multimodal(config))
    set_multimodal_names(
        spec, c, "language_model.model.", "language_model.lm_head",
        {"vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."});
  return spec;
}

constexpr std::string_view growth_key = "attention.temperature_scale";

nlohmann::json config_from_gguf(const GgufFile& file) {
  const GgufConfigReader read(file, "mistral3");
  nlohmann::json config = decoder_config_from_gguf(file, "mistral3");
  config["model_type"] = "ministral3";
  config["architectures"] = {"Ministral3ForCausalLM"};
  nlohmann::json rotary =
      config["rope_scaling"].is_object() ? config["rope_scaling"] : nlohmann::json{{"rope_type", "default"}};
  rotary["rope_theta"] = config["rope_theta"];
  rotary["llama_4_scaling_beta"] = read.number(growth_key, 0);
  config.erase("rope_scaling");
  config.erase("rope_theta");
  config["rope_parameters"] = rotary;
  return config;
}

GgufDescription describe_gguf(const nlohmann::json& json) {
  const nlohmann::json config = completed(json);
  DecoderConfig c = parse(json);
  const ConfigReader rotary(config["rope_parameters"]);
  const bool yarn = rotary.text("rope_type", rotary.text("type", "default")) == "yarn";
  const double scale = rotary.number("mscale", 0), of_all = rotary.number("mscale_all_dim", 0);
  const bool multiplied = yarn && scale != 0 && of_all != 0 && !rotary.has("attention_factor");
  require_in_gguf(!multiplied || scale == 1, "mscale", "must be 1");
  if (multiplied) {
    // In its place the file says `mscale_all_dim`, from which llama.cpp computes the same.
    nlohmann::json plain = config;
    plain["rope_parameters"].erase("mscale");
    c.rotary.front().attention_factor = rope_frequencies(plain, c.head_dim).attention_factor;
  }
  GgufDescription description = describe_decoder(config, c);
  const GgufKeyWriter keys(description.keys, "mistral3");
  if (multiplied) keys.number(gguf_key::yarn_log_multiplier, of_all);
  if (c.rotary.front().query_growth != 0) {
    require_in_gguf(yarn, "llama_4_scaling_beta", "must go with the rope_type yarn");
    keys.number(growth_key, c.rotary.front().query_growth);
  }
  return description;
}

/// Its queries grow from position 8 on.
nlohmann::json tiny_config() {
  nlohmann::json config = tiny_decoder_config("ministral3", "Ministral3ForCausalLM");
  nlohmann::json& rotary = config["rope_parameters"] = usual_rotary();
  rotary["rope_theta"] = 1000.0;
  rotary["original_max_position_embeddings"] = 8;
  rotary["beta_fast"] = 4.0;
  return config;
}

constexpr std::string_view model_types[] = {"ministral3", "mistral3"};
constexpr std::string_view gguf_architectures[] = {"mistral3"};

}  // namespace

extern const FamilyInfo ministral3_family;
const FamilyInfo ministral3_family{family_name,   model_types, gguf_architectures,  config_from_gguf,
                                   describe_gguf, spec_of,     load_decoder<parse>, tiny_config};

}  // namespace lowrank
