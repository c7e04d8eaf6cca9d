#include "model/decoder_config.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include "base/error.h"

namespace lowrank {

void DecoderConfig::rotate(RopeFrequencies frequencies) {
  rotary = {std::move(frequencies)};
  rotary_of.assign(layers, 0);
}

DecoderConfig read_decoder_config(const ConfigReader& read) {
  DecoderConfig c;
  c.hidden = read.count("hidden_size");
  c.ff = read.count("intermediate_size");
  c.layers = read.count("num_hidden_layers", std::nullopt, most_layers);
  c.heads = read.count("num_attention_heads");
  c.kv_heads = read.count("num_key_value_heads", c.heads);
  read.require(read.has("head_dim") || c.hidden % c.heads == 0, "num_attention_heads",
               "must divide hidden_size where head_dim is not given");
  c.head_dim = read.count("head_dim", c.hidden / c.heads, most_head_dim);
  c.query_scale = 1 / std::sqrt(static_cast<double>(c.head_dim));
  c.vocabulary = read.count("vocab_size");
  c.max_positions = read.count("max_position_embeddings", 2048);
  c.epsilon = read.positive("rms_norm_eps", 1e-6);
  c.tied = read.flag("tie_word_embeddings", false);
  c.qkv_bias = c.out_bias = read.flag("attention_bias", false);
  c.mlp_bias = read.flag("mlp_bias", false);
  read.require(c.heads % c.kv_heads == 0, "num_key_value_heads", "must divide num_attention_heads");
  read.require(c.head_dim % 2 == 0, "head_dim", "must be even");
  c.windows.assign(c.layers, 0);
  c.rotary_of.assign(c.layers, -1);
  const std::vector<std::string> types = read.texts("layer_types");
  read.require(types.empty() || static_cast<int64_t>(types.size()) == c.layers, "layer_types",
               "must name the type of each layer");
  for (size_t i = 0; i < types.size(); ++i) {
    const bool sliding = types[i] == "sliding_attention";
    read.require(sliding || types[i] == "full_attention", "layer_types",
                 "must hold full_attention or sliding_attention, not " + types[i].substr(0, 40));
    if (sliding) c.windows[i] = read.count("sliding_window");
  }
  return c;
}

bool is_multimodal(const nlohmann::json& config) {
  return ConfigReader(config).has("text_config");
}

nlohmann::json text_config(const nlohmann::json& config) {
  const char* tied = "tie_word_embeddings";
  if (!is_multimodal(config)) return config;
  nlohmann::json text = config["text_config"];
  ConfigReader(config).require(text.is_object(), "text_config", "must be an object");
  if (ConfigReader(config).has(tied)) text[tied] = config[tied];
  return text;
}

namespace {

ExpertsConfig checked_experts(const ConfigReader& read, int64_t layers, std::string_view key, int64_t count,
                              std::string_view used_key, int64_t used) {
  // Each expert costs memory before the file's tensors are checked.
  constexpr int64_t most_experts = 200'000;
  ExpertsConfig experts;
  experts.count = count;
  read.require(layers * experts.count <= most_experts, key,
               fmt::format("must be at most {} over all layers", most_experts));
  experts.used = used;
  read.require(experts.used <= experts.count, used_key,
               fmt::format("must be at most {} ({})", key, experts.count));
  experts.layers.assign(layers, true);
  return experts;
}

}  // namespace

ExpertsConfig read_experts(const ConfigReader& read, int64_t layers, std::string_view key, int64_t count,
                           int64_t used) {
  const std::string_view used_key = "num_experts_per_tok";
  return checked_experts(read, layers, key, read.count(key, count, most_count), used_key,
                         read.count(used_key, used));
}

ExpertsConfig read_experts(const ConfigReader& read, int64_t layers, std::string_view key,
                           std::string_view used_key) {
  return checked_experts(read, layers, key, read.count(key), used_key, read.count(used_key));
}

nlohmann::json decoder_config_from_gguf(const GgufFile& file, const std::string& architecture,
                                        bool partial_rotary) {
  const GgufConfigReader read(file, architecture);
  nlohmann::json config;
  config["num_hidden_layers"] = read.count(gguf_key::layers, std::nullopt, most_layers);
  config["hidden_size"] = read.count(gguf_key::hidden);
  // Files of models whose layers all have experts may leave out the width of the other layers' MLPs.
  const auto expert_ff = file.find<int64_t>(fmt::format("{}.{}", architecture, gguf_key::expert_ff));
  config["intermediate_size"] = read.count(gguf_key::ff, expert_ff);
  config["max_position_embeddings"] = read.count(gguf_key::context);
  const int64_t heads = read.count(gguf_key::heads);
  config["num_attention_heads"] = heads;
  // As an array, it has 0 for layers without attention.
  const auto listed = file.metadata().find(fmt::format("{}.{}", architecture, gguf_key::kv_heads));
  const auto* kv_heads =
      listed == file.metadata().end() ? nullptr : std::get_if<std::vector<int64_t>>(&listed->second);
  config["num_key_value_heads"] =
      kv_heads && !kv_heads->empty() ? std::ranges::max(*kv_heads) : read.count(gguf_key::kv_heads, heads);
  const int64_t head_dim =
      read.count(gguf_key::key_length, config["hidden_size"].get<int64_t>() / heads, most_head_dim);
  config["head_dim"] = head_dim;
  const int64_t rotary_dim = read.count(gguf_key::rotary_dim, head_dim);
  const auto same = [&](std::string_view key, int64_t value) {
    check(value == head_dim, ErrorKind::unsupported, "{}: {}.{} differs from the head dimension {}",
          file.path().string(), architecture, key, head_dim);
  };
  same(gguf_key::value_length, read.count(gguf_key::value_length, head_dim));
  if (partial_rotary && rotary_dim < head_dim) {
    config["partial_rotary_factor"] = static_cast<double>(rotary_dim) / static_cast<double>(head_dim);
  } else {
    same(gguf_key::rotary_dim, rotary_dim);
  }
  config["rms_norm_eps"] = read.number(gguf_key::rms_epsilon, 1e-5);
  config["rope_theta"] = read.number(gguf_key::theta, 10000.0);
  config["rope_scaling"] = read.rope_scaling(rotary_dim);
  config["vocab_size"] = read.vocabulary_size();
  config["tie_word_embeddings"] = !file.find_tensor("output.weight");
  return config;
}

nlohmann::json tiny_decoder_config(std::string_view model_type, std::string_view model_class) {
  return {{"architectures", nlohmann::json::array({model_class})},
          {"model_type", model_type},
          {"hidden_size", 32},
          {"intermediate_size", 48},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 8},
          {"vocab_size", 64},
          {"max_position_embeddings", 128},
          {"rms_norm_eps", 1e-5},
          {"tie_word_embeddings", false}};
}

}  // namespace lowrank
