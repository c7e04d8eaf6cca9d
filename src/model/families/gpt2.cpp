// GPT-2 (Radford et al. 2019): LayerNorm before each branch, learned positions, one fused product for q, k
// and v, an MLP without a gate, and biases everywhere. Its folders store weights as {in, out} ("Conv1D") and
// may omit the prefix `transformer.` from all names.
#include <cmath>

#include "model/decoders/decoder.h"
#include "model/gguf/decoder_gguf.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "gpt2";

DecoderNames names() {
  DecoderNames n;
  n.prefix = "transformer.";
  n.layers = "h.";
  n.embedding = {"wte", "token_embd"};
  n.positions = {"wpe", "position_embd"};
  n.final_norm = {"ln_f", "output_norm"};
  n.query_key_value = {"attn.c_attn", "attn_qkv"};
  n.attention_out = {"attn.c_proj", "attn_output"};
  n.gate = {};
  n.up = {"mlp.c_fc", "ffn_up"};
  n.down = {"mlp.c_proj", "ffn_down"};
  n.before_attention = {"ln_1", "attn_norm"};
  n.before_mlp = {"ln_2", "ffn_norm"};
  return n;
}

DecoderConfig parse(const nlohmann::json& json) {
  const ConfigReader read(json);
  DecoderConfig c;
  c.names = names();
  c.gguf_architecture = "gpt2";
  c.transposed = c.layer_norm = true;
  c.qkv_bias = c.out_bias = c.mlp_bias = true;
  c.hidden = read.count("n_embd");
  c.ff = read.count("n_inner", 4 * c.hidden);
  c.layers = read.count("n_layer", std::nullopt, most_layers);
  c.heads = c.kv_heads = read.count("n_head");
  c.vocabulary = read.count("vocab_size");
  c.max_positions = read.count("n_positions", 1024);
  c.epsilon = read.positive("layer_norm_epsilon", 1e-5);
  c.activation = read_activation(read, "activation_function", "gelu_new");
  c.tied = read.flag("tie_word_embeddings", true);
  read.require(c.hidden % c.heads == 0, "n_head", "must divide n_embd");
  read.require(read.flag("scale_attn_weights", true), "scale_attn_weights", "must be true");
  for (const char* name : {"scale_attn_by_inverse_layer_idx", "add_cross_attention"})
    read.require(!read.flag(name, false), name, "must be false");
  c.head_dim = c.hidden / c.heads;
  c.query_scale = 1 / std::sqrt(static_cast<double>(c.head_dim));
  c.windows.assign(c.layers, 0);
  c.rotary_of.assign(c.layers, -1);
  return c;
}

nlohmann::json config_from_gguf(const GgufFile& file) {
  const GgufConfigReader read(file, "gpt2");
  nlohmann::json config = {{"model_type", "gpt2"}, {"architectures", {"GPT2LMHeadModel"}}};
  config["n_layer"] = read.count(gguf_key::layers, std::nullopt, most_layers);
  config["n_embd"] = read.count(gguf_key::hidden);
  config["n_inner"] = read.count(gguf_key::ff);
  config["n_positions"] = read.count(gguf_key::context);
  config["n_head"] = read.count(gguf_key::heads);
  config["layer_norm_epsilon"] = read.number(gguf_key::epsilon, 1e-5);
  config["vocab_size"] = read.vocabulary_size();
  config["activation_function"] = "gelu_new";
  config["tie_word_embeddings"] = !file.find_tensor("output.weight");
  return config;
}

GgufDescription describe_gguf(const nlohmann::json& config) {
  const DecoderConfig c = parse(config);
  require_in_gguf(c.activation == Activation::gelu_tanh, "activation_function", "must be gelu_new");
  return describe_decoder(config, c);
}

nlohmann::json tiny_config() {
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"model_type", "gpt2"},
          {"n_embd", 32},
          {"n_layer", 2},
          {"n_head", 4},
          {"n_positions", 64},
          {"vocab_size", 64}};
}

constexpr std::string_view model_types[] = {"gpt2"};
constexpr std::string_view gguf_architectures[] = {"gpt2"};

}  // namespace

extern const FamilyInfo gpt2_family;
const FamilyInfo gpt2_family{family_name,         model_types,   gguf_architectures,
                             config_from_gguf,    describe_gguf, decoder_spec<family_name, parse>,
                             load_decoder<parse>, tiny_config};

}  // namespace lowrank
