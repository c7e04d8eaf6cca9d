#include "model/decoder_config.h"

#include "base/error.h"

namespace lowrank {
namespace {

struct Entry {
  const char* name;
  const char* gguf_name;
  Role role;
  int64_t out, in, rotary_heads;
  bool bias;
};

std::vector<Entry> layer_linears(const DecoderConfig& c) {
  const int64_t q = c.heads * c.head_dim;
  const int64_t kv = c.kv_heads * c.head_dim;
  const int64_t q_heads = c.rotary_order ? c.heads : 0;
  const int64_t k_heads = c.rotary_order ? c.kv_heads : 0;
  return {{"self_attn.q_proj", "attn_q", Role::query, q, c.hidden, q_heads, c.qkv_bias},
          {"self_attn.k_proj", "attn_k", Role::key, kv, c.hidden, k_heads, c.qkv_bias},
          {"self_attn.v_proj", "attn_v", Role::value, kv, c.hidden, 0, c.qkv_bias},
          {"self_attn.o_proj", "attn_output", Role::attention_out, c.hidden, q, 0, c.out_bias},
          {"mlp.gate_proj", "ffn_gate", Role::gate, c.ff, c.hidden, 0, c.mlp_bias},
          {"mlp.up_proj", "ffn_up", Role::up, c.ff, c.hidden, 0, c.mlp_bias},
          {"mlp.down_proj", "ffn_down", Role::down, c.hidden, c.ff, 0, c.mlp_bias}};
}

TensorRef norm_tensor(const DecoderConfig& c, const std::string& name, const std::string& gguf_name,
                      int64_t size, int layer) {
  TensorRef tensor{name + ".weight", gguf_name + ".weight", {size}, layer, Role::norm};
  tensor.gguf_offset = c.norm_offset;
  return tensor;
}

void add_layer(ModelSpec& spec, const DecoderConfig& c, const std::vector<LayerNormName>& norms, int layer) {
  const std::string prefix = fmt::format("model.layers.{}.", layer);
  const std::string gguf_prefix = fmt::format("blk.{}.", layer);
  for (const Entry& entry : layer_linears(c)) {
    const std::string name = prefix + entry.name;
    const std::string gguf_name = gguf_prefix + entry.gguf_name;
    spec.modules.push_back({name, layer, entry.role, entry.in, entry.out});
    spec.tensors.push_back({name + ".weight",
                            gguf_name + ".weight",
                            {entry.out, entry.in},
                            layer,
                            entry.role,
                            entry.rotary_heads});
    if (!entry.bias) continue;
    spec.tensors.push_back(
        {name + ".bias", gguf_name + ".bias", {entry.out}, layer, entry.role, entry.rotary_heads});
  }
  for (const LayerNormName& norm : norms) {
    spec.tensors.push_back(norm_tensor(c, prefix + std::string(norm.name),
                                       gguf_prefix + std::string(norm.gguf_name), c.hidden, layer));
  }
  if (!c.qk_norm) return;
  for (const auto& [name, gguf_name] :
       {std::pair{"self_attn.q_norm", "attn_q_norm"}, std::pair{"self_attn.k_norm", "attn_k_norm"}}) {
    spec.tensors.push_back(norm_tensor(c, prefix + name, gguf_prefix + gguf_name, c.head_dim, layer));
  }
}

}  // namespace

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
  c.vocabulary = read.count("vocab_size");
  c.max_positions = read.count("max_position_embeddings", 2048);
  c.epsilon = read.positive("rms_norm_eps", 1e-6);
  c.tied = read.flag("tie_word_embeddings", false);
  read.require(c.heads % c.kv_heads == 0, "num_key_value_heads", "must divide num_attention_heads");
  read.require(c.head_dim % 2 == 0, "head_dim", "must be even");
  c.windows.assign(c.layers, 0);
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

nlohmann::json decoder_config_from_gguf(const GgufFile& file, const std::string& architecture) {
  const GgufConfigReader read(file, architecture);
  nlohmann::json config;
  config["num_hidden_layers"] = read.count("block_count", std::nullopt, most_layers);
  config["hidden_size"] = read.count("embedding_length");
  config["intermediate_size"] = read.count("feed_forward_length");
  config["max_position_embeddings"] = read.count("context_length");
  const int64_t heads = read.count("attention.head_count");
  config["num_attention_heads"] = heads;
  config["num_key_value_heads"] = read.count("attention.head_count_kv", heads);
  const int64_t head_dim =
      read.count("attention.key_length", config["hidden_size"].get<int64_t>() / heads, most_head_dim);
  config["head_dim"] = head_dim;
  for (const char* key : {"rope.dimension_count", "attention.value_length"}) {
    check(read.count(key, head_dim) == head_dim, ErrorKind::unsupported,
          "{}: {}.{} differs from the head dimension {}", file.path().string(), architecture, key, head_dim);
  }
  config["rms_norm_eps"] = read.number("attention.layer_norm_rms_epsilon", 1e-5);
  config["rope_theta"] = read.number("rope.freq_base", 10000.0);
  config["rope_scaling"] = read.rope_scaling(head_dim);
  config["vocab_size"] = read.vocabulary_size();
  config["tie_word_embeddings"] = !file.find_tensor("output.weight");
  return config;
}

ModelSpec decoder_spec(std::string_view family, const nlohmann::json& config, const DecoderConfig& c,
                       const std::vector<LayerNormName>& norms) {
  ModelSpec spec;
  spec.family = std::string(family);
  spec.config = config;
  spec.layers = c.layers;
  spec.hidden_size = c.hidden;
  spec.heads = c.heads;
  spec.kv_heads = c.kv_heads;
  spec.head_dim = c.head_dim;
  spec.vocabulary_size = c.vocabulary;
  spec.max_positions = c.max_positions;
  spec.tied_head = c.tied;
  spec.optional_prefix = "model.";
  const std::vector<int64_t> table{c.vocabulary, c.hidden};
  spec.modules.push_back({"model.embed_tokens", -1, Role::embedding, c.vocabulary, c.hidden});
  spec.tensors.push_back({"model.embed_tokens.weight", "token_embd.weight", table, -1, Role::embedding});
  for (int layer = 0; layer < c.layers; ++layer) add_layer(spec, c, norms, layer);
  spec.tensors.push_back(norm_tensor(c, "model.norm", "output_norm", c.hidden, -1));
  spec.modules.push_back({"lm_head", -1, Role::head, c.hidden, c.vocabulary});
  spec.tensors.push_back({"lm_head.weight", "output.weight", table, -1, Role::head, 0, c.tied});
  return spec;
}

}  // namespace lowrank
