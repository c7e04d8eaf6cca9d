// Gemma 2 (Gemma Team 2024, arXiv 2408.00118): RMSNorm before and after each branch, with weights of 1 + w,
// GeGLU, embeddings times sqrt(d), a window in every other layer, and capped scores and logits.
#include <cmath>

#include "base/error.h"
#include "model/decoders/decoder.h"
#include "model/gguf/decoder_gguf.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "gemma2";

constexpr const char* score_key = "attn_logit_softcapping";
constexpr const char* logit_key = "final_logit_softcapping";

/// A cap, `usual` without the key; null: 0, none.
double cap_of(const nlohmann::json& json, const char* key, double usual) {
  const auto found = json.find(key);
  if (found != json.end() && found->is_null()) return 0;
  return ConfigReader(json).positive(key, usual);
}

/// True for the layers with a window where the configuration does not say: the first, the third, …
bool usually_slides(int64_t layer) {
  return layer % 2 == 0;
}

DecoderConfig parse(const nlohmann::json& json) {
  nlohmann::json config = json;
  if (!ConfigReader(json).has("head_dim")) config["head_dim"] = 256;
  const ConfigReader read(config);
  DecoderConfig c = read_decoder_config(read);
  c.gguf_architecture = "gemma2";
  c.tied = read.flag("tie_word_embeddings", true);
  c.mlp_bias = false;
  c.activation = Activation::gelu_tanh;
  c.norm_offset = 1;
  c.embedding_multiplier = std::sqrt(static_cast<float>(c.hidden));
  c.query_scale = 1 / std::sqrt(read.positive("query_pre_attn_scalar", 256));
  c.score_softcap = cap_of(json, score_key, 50);
  c.logit_softcap = cap_of(json, logit_key, 30);
  c.names.after_attention = {"post_attention_layernorm", "post_attention_norm"};
  c.names.before_mlp = {"pre_feedforward_layernorm", "ffn_norm"};
  c.names.after_mlp = {"post_feedforward_layernorm", "post_ffw_norm"};
  c.rotate(rope_frequencies(json, c.head_dim));
  read.require_text("hidden_activation", "gelu_pytorch_tanh");
  read.require(!read.flag("use_bidirectional_attention", false), "use_bidirectional_attention",
               "must be false: only causal models are supported");
  if (!read.texts("layer_types").empty()) return c;
  for (int64_t i = 0; i < c.layers; ++i)
    if (usually_slides(i)) c.windows[i] = read.count("sliding_window", 4096);
  return c;
}

/// The square of what q·k is divided by. GGUF files do not say; only the largest model divides by something
/// other than the head size.
int64_t divisor_of_queries(int64_t layers, int64_t hidden, int64_t heads, int64_t head_dim) {
  constexpr int64_t layers_of_27b = 46;
  return layers == layers_of_27b ? hidden / heads : head_dim;
}

nlohmann::json config_from_gguf(const GgufFile& file) {
  const GgufConfigReader read(file, "gemma2");
  nlohmann::json config = decoder_config_from_gguf(file, "gemma2");
  config["model_type"] = "gemma2";
  config["architectures"] = {"Gemma2ForCausalLM"};
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["sliding_window"] = read.count(gguf_key::window, 4096);
  for (const char* key : {score_key, logit_key}) {
    const double cap = read.number(key, key == score_key ? 50 : 30);
    config[key] = cap > 0 ? nlohmann::json(cap) : nlohmann::json();
  }
  config["query_pre_attn_scalar"] = divisor_of_queries(config["num_hidden_layers"], config["hidden_size"],
                                                       config["num_attention_heads"], config["head_dim"]);
  return config;
}

GgufDescription describe_gguf(const nlohmann::json& config) {
  DecoderConfig c = parse(config);
  const int64_t divisor = divisor_of_queries(c.layers, c.hidden, c.heads, c.head_dim);
  constexpr double rounding = 1e-6;
  require_in_gguf(std::abs(c.query_scale * std::sqrt(static_cast<double>(divisor)) - 1) < rounding,
                  "query_pre_attn_scalar", fmt::format("must be {}", divisor));
  require_in_gguf(c.score_softcap > 0, score_key, "must be a number");
  require_in_gguf(c.logit_softcap > 0, logit_key, "must be a number");
  const int64_t window = c.windows.front();
  for (int64_t i = 0; i < c.layers; ++i)
    require_in_gguf(c.windows[i] == (usually_slides(i) ? window : 0) && window > 0, "layer_types",
                    "must alternate, the first with a window");
  c.windows.assign(c.layers, 0);
  GgufDescription description = describe_decoder(config, c);
  description.merges_from_vocabulary = true;
  const GgufKeyWriter keys(description.keys, "gemma2");
  keys.count(gguf_key::window, window);
  keys.number(score_key, c.score_softcap);
  keys.number(logit_key, c.logit_softcap);
  return description;
}

/// The first of its two layers has a window of 5; the caps are of the size of scores and logits.
nlohmann::json tiny_config() {
  nlohmann::json config = tiny_decoder_config("gemma2", "Gemma2ForCausalLM");
  config["query_pre_attn_scalar"] = 8;
  config["sliding_window"] = 5;
  config[score_key] = 2.0;
  config[logit_key] = 3.0;
  config["tie_word_embeddings"] = true;
  return config;
}

constexpr std::string_view model_types[] = {"gemma2"};
constexpr std::string_view gguf_architectures[] = {"gemma2"};

}  // namespace

extern const FamilyInfo gemma2_family;
const FamilyInfo gemma2_family{family_name,         model_types,   gguf_architectures,
                               config_from_gguf,    describe_gguf, decoder_spec<family_name, parse>,
                               load_decoder<parse>, tiny_config};

}  // namespace lowrank
