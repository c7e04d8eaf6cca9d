// Gemma 3, text only (Gemma Team 2025, arXiv 2503.19786): RMSNorm before and after each branch, with weights
// of 1 + w, norms on query and key heads, GeGLU, embeddings times sqrt(d), and in five of every six layers a
// window with its own rotary frequencies. EmbeddingGemma (2025, arXiv 2509.20354) is one whose tokens also
// see those that follow.
#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "model/decoders/decoder.h"
#include "model/gguf/decoder_gguf.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "gemma3";

/// Rotary frequencies of the layers with full attention, and of those with a window.
std::vector<RopeFrequencies> frequencies_of(const nlohmann::json& config, int64_t head_dim) {
  const auto both = config.find("rope_parameters");
  if (both != config.end() && both->is_object() && both->contains("full_attention")) {
    return {rope_frequencies(with_rope_of(config, "full_attention"), head_dim),
            rope_frequencies(with_rope_of(config, "sliding_attention"), head_dim)};
  }
  return {rope_frequencies(config, head_dim),
          rope_frequencies({{"rope_theta", ConfigReader(config).number("rope_local_base_freq", 10000.0)}},
                           head_dim)};
}

DecoderConfig parse(const nlohmann::json& json) {
  const ConfigReader read(json);
  DecoderConfig c = read_decoder_config(read);
  c.gguf_architecture = "gemma3";
  c.tied = read.flag("tie_word_embeddings", true);
  c.mlp_bias = false;
  c.activation = Activation::gelu_tanh;
  c.norm_offset = 1;
  c.embedding_multiplier = std::sqrt(static_cast<float>(c.hidden));
  c.query_scale = 1 / std::sqrt(read.positive("query_pre_attn_scalar", 256));
  c.names.after_attention = {"post_attention_layernorm", "post_attention_norm"};
  c.names.before_mlp = {"pre_feedforward_layernorm", "ffn_norm"};
  c.names.after_mlp = {"post_feedforward_layernorm", "post_ffw_norm"};
  c.names.query_norm = {"self_attn.q_norm", "attn_q_norm"};
  c.names.key_norm = {"self_attn.k_norm", "attn_k_norm"};
  read.require_text("hidden_activation", "gelu_pytorch_tanh");
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping"})
    read.require(!read.has(key), key, "must be absent: capped logits are not supported");
  if (read.texts("layer_types").empty()) {
    const int64_t pattern = read.count("sliding_window_pattern", 6);
    for (int64_t i = 0; i < c.layers; ++i) {
      if ((i + 1) % pattern != 0) c.windows[i] = read.count("sliding_window", 4096);
    }
  }
  c.bidirectional = read.flag("use_bidirectional_attention", false);
  // As transformers does: half of the window lies on either side.
  for (int64_t& window : c.windows) {
    if (c.bidirectional && window > 0) window = window / 2 + 1;
  }
  c.rotary = frequencies_of(json, c.head_dim);
  for (int64_t i = 0; i < c.layers; ++i) c.rotary_of[i] = c.windows[i] > 0 ? 1 : 0;
  return c;
}

/// Layers from one with full attention to the next, where a GGUF file does not say.
constexpr int64_t usual_period = 6;

/// The square of what q·k is divided by. GGUF files do not say; only the largest model divides by something
/// other than the head size.
int64_t divisor_of_queries(int64_t layers, int64_t hidden, int64_t heads, int64_t head_dim) {
  constexpr int64_t layers_of_27b = 62;
  return layers == layers_of_27b ? hidden / heads : head_dim;
}

nlohmann::json config_from_gguf(const GgufFile& file) {
  const GgufConfigReader read(file, "gemma3");
  nlohmann::json config = decoder_config_from_gguf(file, "gemma3");
  config["model_type"] = "gemma3_text";
  config["architectures"] = {"Gemma3ForCausalLM"};
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["rope_local_base_freq"] = read.number(gguf_key::window_theta, 10000.0);
  if (!file.find<double>("gemma3.rope.freq_base")) config["rope_theta"] = 1e6;
  config["sliding_window"] = read.count(gguf_key::window, 1024);
  const auto layers = config["num_hidden_layers"].get<int64_t>();
  config["query_pre_attn_scalar"] =
      divisor_of_queries(layers, config["hidden_size"], config["num_attention_heads"], config["head_dim"]);
  config["layer_types"] = read.layer_types(layers, usual_period);
  return config;
}

/// The number of layers from one with full attention to the next, where the others have the same window;
/// nothing where layers do not alternate like this.
std::optional<int64_t> window_period(const std::vector<int64_t>& windows) {
  const auto full = std::ranges::find(windows, 0);
  const int64_t period =
      full == windows.end() ? std::max(usual_period, std::ssize(windows) + 1) : full - windows.begin() + 1;
  for (int64_t i = 0; i < std::ssize(windows); ++i) {
    const bool slides = windows[i] > 0;
    if (slides != ((i + 1) % period != 0) || (slides && windows[i] != windows[0])) return std::nullopt;
  }
  return period;
}

GgufDescription describe_gguf(const nlohmann::json& config) {
  DecoderConfig c = parse(config);
  require_in_gguf(!c.bidirectional, "use_bidirectional_attention", "must be false");
  const std::optional<int64_t> period = window_period(c.windows);
  require_in_gguf(period.has_value(), "layer_types", "must alternate with one period and one window");
  const RopeFrequencies& local = c.rotary.back();
  require_in_gguf(local.inverse == rope_frequencies({{"rope_theta", local.theta}}, c.head_dim).inverse,
                  "rope_parameters", "must not scale the layers with a window");
  const int64_t divisor = divisor_of_queries(c.layers, c.hidden, c.heads, c.head_dim);
  constexpr double rounding = 1e-6;
  require_in_gguf(std::abs(c.query_scale * std::sqrt(static_cast<double>(divisor)) - 1) < rounding,
                  "query_pre_attn_scalar", fmt::format("must be {}", divisor));
  const int64_t window = c.windows.front();
  c.windows.assign(c.layers, 0);
  GgufDescription description = describe_decoder(with_rope_of(config, "full_attention"), c);
  description.merges_from_vocabulary = true;
  const GgufKeyWriter keys(description.keys, "gemma3");
  keys.number(gguf_key::window_theta, local.theta);
  if (window > 0) keys.count(gguf_key::window, window);
  if (*period != usual_period) {
    keys.count(gguf_key::window_period, *period);
    description.notes.emplace_back(
        "its layers do not alternate as in Gemma 3's own models: older llama.cpp ignores that");
  }
  return description;
}

/// The first of its two layers has a window of 5.
nlohmann::json tiny_config() {
  nlohmann::json config = tiny_decoder_config("gemma3_text", "Gemma3ForCausalLM");
  config["query_pre_attn_scalar"] = 8;
  config["sliding_window"] = 5;
  config["layer_types"] = {"sliding_attention", "full_attention"};
  config["tie_word_embeddings"] = true;
  return config;
}

constexpr std::string_view model_types[] = {"gemma3_text"};
constexpr std::string_view gguf_architectures[] = {"gemma3"};

}  // namespace

extern const FamilyInfo gemma3_family;
const FamilyInfo gemma3_family{family_name,         model_types,   gguf_architectures,
                               config_from_gguf,    describe_gguf, decoder_spec<family_name, parse>,
                               load_decoder<parse>, tiny_config};

}  // namespace lowrank
