#include "model/gemma4/gemma4_gguf.h"

#include <algorithm>

#include "base/error.h"
#include "formats/block_formats.h"
#include "model/config_reader.h"
#include "model/gemma4/gemma4_config.h"

namespace lowrank {
namespace {

constexpr const char* architecture = "gemma4";
constexpr std::string_view key_length_of_windows = "attention.key_length_swa";
constexpr std::string_view value_length_of_windows = "attention.value_length_swa";
constexpr std::string_view rotary_dim_of_windows = "rope.dimension_count_swa";
constexpr std::string_view shared_layers = "attention.shared_kv_layers";
constexpr std::string_view layer_input = "embedding_length_per_layer_input";
constexpr std::string_view softcap = "final_logit_softcapping";
/// What the frequencies of dimensions that do not rotate are divided by.
constexpr float never = 1e30F;

std::string full_key(std::string_view key) {
  return fmt::format("{}.{}", architecture, key);
}

/// [layers] a list, or one number for all.
std::vector<int64_t> counts_of_layers(const GgufFile& file, std::string_view key, int64_t layers) {
  const std::string name = full_key(key);
  const auto found = file.metadata().find(name);
  const bool listed =
      found != file.metadata().end() && std::holds_alternative<std::vector<int64_t>>(found->second);
  if (!listed) return std::vector<int64_t>(layers, GgufConfigReader(file, architecture).count(key));
  std::vector<int64_t> counts = std::get<std::vector<int64_t>>(found->second);
  const bool fits = std::ssize(counts) == layers &&
                    std::ranges::all_of(counts, [](int64_t n) { return n > 0 && n <= most_count; });
  check(fits, ErrorKind::invalid, "{}: {} must hold {} numbers above 0", file.path().string(), name, layers);
  return counts;
}

/// The share of a head's dimensions that rotate in layers with full attention.
double rotating_share(const GgufFile& file, int64_t head_dim) {
  const StoredTensor* stored = file.find_tensor(gguf_key::llama3_factors);
  if (!stored) return 1;
  const std::vector<int64_t> expected{head_dim / 2};
  check(stored->shape == expected && stored->dtype == DType::f32, ErrorKind::invalid,
        "{}: {} must hold {} F32 values", file.path().string(), gguf_key::llama3_factors, head_dim / 2);
  std::vector<float> factors(head_dim / 2);
  expand(stored->dtype, stored->bytes, factors);
  const auto first = std::ranges::find_if(factors, [](float x) { return x > 1; });
  const bool known = std::all_of(factors.begin(), first, [](float x) { return x == 1; }) &&
                     std::all_of(first, factors.end(), [](float x) { return x >= never / 10; });
  check(known, ErrorKind::unsupported, "{}: {} must be 1 for the dimensions that rotate, then 1e30",
        file.path().string(), gguf_key::llama3_factors);
  return static_cast<double>(first - factors.begin()) / static_cast<double>(factors.size());
}

}  // namespace

nlohmann::json gemma4_config_from_gguf(const GgufFile& file) {
  const GgufConfigReader read(file, architecture);
  const int64_t layers = read.count(gguf_key::layers, std::nullopt, most_layers);
  const std::vector<std::string> types = read.layer_types(layers, 6);
  const std::vector<int64_t> widths = counts_of_layers(file, gguf_key::ff, layers);
  const std::vector<int64_t> kv_heads = counts_of_layers(file, gguf_key::kv_heads, layers);
  const int64_t full_dim = read.count(gguf_key::key_length, std::nullopt, most_head_dim);
  const int64_t head_dim = read.count(key_length_of_windows, full_dim, most_head_dim);
  const int64_t shared = file.find<int64_t>(full_key(shared_layers)).value_or(0);
  const int64_t input = file.find<int64_t>(full_key(layer_input)).value_or(0);
  check(shared >= 0 && shared < layers && input >= 0, ErrorKind::invalid, "{}: {} or {} is out of range",
        file.path().string(), full_key(shared_layers), full_key(layer_input));
  const double cap = read.number(softcap, 0);
  nlohmann::json config = {{"model_type", "gemma4_text"},
                           {"architectures", {"Gemma4ForCausalLM"}},
                           {"hidden_activation", "gelu_pytorch_tanh"},
                           {"num_hidden_layers", layers},
                           {"hidden_size", read.count(gguf_key::hidden)},
                           {"intermediate_size", widths.front()},
                           {"max_position_embeddings", read.count(gguf_key::context)},
                           {"num_attention_heads", read.count(gguf_key::heads)},
                           {"num_key_value_heads", kv_heads.front()},
                           {"head_dim", head_dim},
                           {"layer_types", types},
                           {"sliding_window", read.count(gguf_key::window, 512)},
                           {"num_kv_shared_layers", shared},
                           {"hidden_size_per_layer_input", input},
                           {"vocab_size", read.vocabulary_size()},
                           {"vocab_size_per_layer_input", read.vocabulary_size()},
                           {"rms_norm_eps", read.number(gguf_key::rms_epsilon, 1e-6)},
                           {"final_logit_softcapping", cap > 0 ? nlohmann::json(cap) : nlohmann::json()},
                           {"use_double_wide_mlp", widths.back() == 2 * widths.front()},
                           {"attention_k_eq_v", false},
                           {"tie_word_embeddings", !file.find_tensor("output.weight")}};
  config["rope_parameters"] = {
      {"full_attention",
       {{"rope_type", "proportional"},
        {"partial_rotary_factor", rotating_share(file, full_dim)},
        {"rope_theta", read.number(gguf_key::theta, 1e6)}}},
      {"sliding_attention",
       {{"rope_type", "default"}, {"rope_theta", read.number(gguf_key::window_theta, 1e4)}}}};
  nlohmann::json own = nlohmann::json::object();
  for (int64_t i = 0; i < layers; ++i) {
    if (types[i] == "sliding_attention") continue;
    own[std::to_string(i)] = {{"head_dim", full_dim}, {"num_key_value_heads", kv_heads[i]}};
    if (i < layers - shared && !file.find_tensor(fmt::format("blk.{}.attn_v.weight", i)))
      config["attention_k_eq_v"] = true;
  }
  config["per_layer_config"] = own;
  if (file.find_tensor("blk.0.ffn_gate_inp.weight")) {
    config["enable_moe_block"] = true;
    config["num_experts"] = read.count(gguf_key::experts);
    config["top_k_experts"] = read.count(gguf_key::used_experts);
    config["moe_intermediate_size"] = read.count(gguf_key::expert_ff);
  }
  return config;
}

GgufDescription describe_gemma4(const nlohmann::json& json) {
  const Gemma4Config c = read_gemma4(json);
  const auto plain = [](const RopeFrequencies& f) {
    return rope_frequencies({{"rope_theta", f.theta}}, static_cast<int64_t>(2 * f.inverse.size())).inverse;
  };
  require_in_gguf(c.sliding.inverse == plain(c.sliding), "rope_parameters",
                  "must not scale the layers with a window");
  require_in_gguf(!c.bias, "attention_bias", "must be false");
  GgufDescription description;
  description.keys.set_string("general.architecture", architecture);
  const GgufKeyWriter keys(description.keys, architecture);
  std::vector<int32_t> widths, kv_heads;
  std::vector<int64_t> windows;
  const Gemma4Layer* sliding = nullptr;
  for (const Gemma4Layer& layer : c.layers) {
    widths.push_back(static_cast<int32_t>(layer.ff));
    kv_heads.push_back(static_cast<int32_t>(layer.kv_heads));
    windows.push_back(layer.window);
    if (layer.slides()) sliding = &layer;
  }
  const int64_t full_dim = c.layers.back().head_dim;
  const int64_t head_dim = sliding ? sliding->head_dim : full_dim;
  keys.count(gguf_key::layers, c.count());
  keys.count(gguf_key::context, c.max_positions);
  keys.count(gguf_key::hidden, c.hidden);
  description.keys.set_numbers<int32_t>(full_key(gguf_key::ff), widths);
  keys.count(gguf_key::heads, c.heads);
  description.keys.set_numbers<int32_t>(full_key(gguf_key::kv_heads), kv_heads);
  keys.number(gguf_key::rms_epsilon, c.epsilon);
  keys.count(gguf_key::vocabulary, c.vocabulary);
  for (const std::string_view key : {gguf_key::key_length, gguf_key::value_length, gguf_key::rotary_dim})
    keys.count(key, full_dim);
  for (const std::string_view key : {key_length_of_windows, value_length_of_windows, rotary_dim_of_windows})
    keys.count(key, head_dim);
  keys.number(gguf_key::theta, c.full.theta);
  keys.number(gguf_key::window_theta, c.sliding.theta);
  keys.windows(windows);
  keys.count(shared_layers, c.shared_layers());
  keys.count(layer_input, c.layer_input);
  if (c.logit_softcap > 0) keys.number(softcap, c.logit_softcap);
  if (c.experts.count > 0) {
    keys.count(gguf_key::experts, c.experts.count);
    keys.count(gguf_key::used_experts, c.experts.used);
    keys.count(gguf_key::expert_ff, c.experts.ff);
  }
  GgufDescription::Table factors{gguf_key::llama3_factors, {}};
  const std::vector<float> turning = plain(c.full);
  for (size_t k = 0; k < turning.size(); ++k) {
    const float frequency = c.full.inverse[k];
    require_in_gguf(frequency == 0 || frequency == turning[k], "rope_parameters",
                    "must not scale the layers with full attention");
    factors.values.push_back(frequency == 0 ? never : 1);
  }
  description.tables.push_back(std::move(factors));
  return description;
}

}  // namespace lowrank
