// Gemma 4, text only (Google DeepMind 2026, ai.google.dev/gemma): Gemma 3 with capped logits, other heads in
// layers with full attention, in its smaller models an input of each layer beside the stream and last layers
// that read the keys and values of earlier ones, and in one of its models experts beside each MLP. `gemma4`
// is the multimodal model, of which the text part is used.
#include "model/decoder_config.h"
#include "model/gemma4/gemma4_gguf.h"
#include "model/gemma4/gemma4_model.h"
#include "model/gemma4/gemma4_spec.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "gemma4";

ModelSpec spec(const nlohmann::json& config) {
  return gemma4_spec(family_name, config);
}

/// A layer with a window of 5, one with full attention, and one that reads the latter's keys and values.
/// Heads are small, since scores are not divided by their size, and epsilon is large, so that the norms of
/// small heads do not magnify rounding. Each token uses all experts: where it chooses some, rounding to bf16
/// can change the choice.
nlohmann::json tiny_config() {
  nlohmann::json config = tiny_decoder_config("gemma4_text", "Gemma4ForCausalLM");
  config["num_hidden_layers"] = 3;
  config["layer_types"] = {"sliding_attention", "full_attention", "full_attention"};
  config["num_kv_shared_layers"] = 1;
  config["use_double_wide_mlp"] = true;
  config["sliding_window"] = 5;
  config["rms_norm_eps"] = 0.01;
  config["head_dim"] = 4;
  config["global_head_dim"] = 8;
  config["hidden_size_per_layer_input"] = 8;
  config["vocab_size_per_layer_input"] = 64;
  config["final_logit_softcapping"] = 5.0;
  config["tie_word_embeddings"] = true;
  config["enable_moe_block"] = true;
  config["num_experts"] = config["top_k_experts"] = 2;
  config["moe_intermediate_size"] = 16;
  return config;
}

constexpr std::string_view model_types[] = {"gemma4_text", "gemma4"};
constexpr std::string_view gguf_architectures[] = {"gemma4"};

}  // namespace

extern const FamilyInfo gemma4_family;
const FamilyInfo gemma4_family{family_name,     model_types, gguf_architectures, gemma4_config_from_gguf,
                               describe_gemma4, spec,        load_gemma4,        tiny_config};

}  // namespace lowrank
