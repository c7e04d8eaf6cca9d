// Llama: pre-norm decoder with RMSNorm, rotary positions, grouped-query attention and SwiGLU.
//   h += O(attend(rope([Q; K; V] norm(h))));  h += D(silu(G n) * (U n)) with n = norm(h)
// Touvron et al. 2023 (arXiv 2302.13971); grouped queries from Llama 2 (arXiv 2307.09288).
#include "base/error.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"
#include "model/blocks.h"
#include "model/checkpoint.h"
#include "model/config_reader.h"
#include "model/registry.h"
#include "model/rope_frequencies.h"

namespace lowrank {
namespace {

struct Config {
  int64_t hidden, ff, layers, heads, kv_heads, head_dim, vocabulary, max_positions;
  double epsilon;
  bool attention_bias, mlp_bias, tied;
};

Config parse(const nlohmann::json& json) {
  const ConfigReader read(json);
  Config c{};
  c.hidden = read.count("hidden_size");
  c.ff = read.count("intermediate_size");
  c.layers = read.count("num_hidden_layers");
  c.heads = read.count("num_attention_heads");
  c.kv_heads = read.count("num_key_value_heads", c.heads);
  c.head_dim = read.count("head_dim", c.hidden / c.heads);
  c.vocabulary = read.count("vocab_size");
  c.max_positions = read.count("max_position_embeddings", 2048);
  c.epsilon = read.number("rms_norm_eps", 1e-6);
  c.attention_bias = read.flag("attention_bias", false);
  c.mlp_bias = read.flag("mlp_bias", false);
  c.tied = read.flag("tie_word_embeddings", false);
  read.require(c.heads % c.kv_heads == 0, "num_key_value_heads", "must divide num_attention_heads");
  read.require(c.head_dim % 2 == 0, "head_dim", "must be even");
  read.require(read.text("hidden_act", "silu") == "silu", "hidden_act", "must be silu");
  return c;
}

struct Entry {
  const char* name;
  const char* gguf_name;
  Role role;
  int64_t out, in, rotary_heads;
  bool bias;
};

std::vector<Entry> layer_linears(const Config& c) {
  const int64_t q = c.heads * c.head_dim;
  const int64_t kv = c.kv_heads * c.head_dim;
  const bool bias = c.attention_bias;
  return {{"self_attn.q_proj", "attn_q", Role::query, q, c.hidden, c.heads, bias},
          {"self_attn.k_proj", "attn_k", Role::key, kv, c.hidden, c.kv_heads, bias},
          {"self_attn.v_proj", "attn_v", Role::value, kv, c.hidden, 0, bias},
          {"self_attn.o_proj", "attn_output", Role::attention_out, c.hidden, q, 0, bias},
          {"mlp.gate_proj", "ffn_gate", Role::gate, c.ff, c.hidden, 0, c.mlp_bias},
          {"mlp.up_proj", "ffn_up", Role::up, c.ff, c.hidden, 0, c.mlp_bias},
          {"mlp.down_proj", "ffn_down", Role::down, c.hidden, c.ff, 0, c.mlp_bias}};
}

void add_layer(ModelSpec& spec, const Config& c, int layer) {
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
    if (entry.bias) {
      spec.tensors.push_back(
          {name + ".bias", gguf_name + ".bias", {entry.out}, layer, entry.role, entry.rotary_heads});
    }
  }
  spec.tensors.push_back(
      {prefix + "input_layernorm.weight", gguf_prefix + "attn_norm.weight", {c.hidden}, layer, Role::norm});
  spec.tensors.push_back({prefix + "post_attention_layernorm.weight",
                          gguf_prefix + "ffn_norm.weight",
                          {c.hidden},
                          layer,
                          Role::norm});
}

ModelSpec make_spec(const nlohmann::json& config) {
  const Config c = parse(config);
  rope_frequencies(config, c.head_dim);
  ModelSpec spec;
  spec.family = "llama";
  spec.config = config;
  spec.layers = c.layers;
  spec.hidden_size = c.hidden;
  spec.vocabulary_size = c.vocabulary;
  spec.max_positions = c.max_positions;
  spec.tied_head = c.tied;
  spec.modules.push_back({"model.embed_tokens", -1, Role::embedding, c.vocabulary, c.hidden});
  spec.tensors.push_back(
      {"model.embed_tokens.weight", "token_embd.weight", {c.vocabulary, c.hidden}, -1, Role::embedding});
  for (int layer = 0; layer < c.layers; ++layer) add_layer(spec, c, layer);
  spec.tensors.push_back({"model.norm.weight", "output_norm.weight", {c.hidden}, -1, Role::norm});
  spec.modules.push_back({"lm_head", -1, Role::head, c.hidden, c.vocabulary});
  spec.tensors.push_back(
      {"lm_head.weight", "output.weight", {c.vocabulary, c.hidden}, -1, Role::head, 0, c.tied});
  return spec;
}

nlohmann::json config_from_gguf(const GgufFile& file) {
  check(!file.find_tensor("rope_freqs.weight"), ErrorKind::unsupported,
        "{}: rope_freqs.weight (Llama 3.1's RoPE factors) is not supported in GGUF files yet; use the "
        "safetensors folder",
        file.path().string());
  const GgufConfigReader read(file, "llama");
  nlohmann::json config = {
      {"architectures", {"LlamaForCausalLM"}}, {"model_type", "llama"}, {"hidden_act", "silu"}};
  config["num_hidden_layers"] = read.count("block_count");
  config["hidden_size"] = read.count("embedding_length");
  config["intermediate_size"] = read.count("feed_forward_length");
  config["max_position_embeddings"] = read.count("context_length");
  const int64_t heads = read.count("attention.head_count");
  config["num_attention_heads"] = heads;
  config["num_key_value_heads"] = read.count("attention.head_count_kv", heads);
  const int64_t head_dim = read.count("attention.key_length", config["hidden_size"].get<int64_t>() / heads);
  config["head_dim"] = head_dim;
  check(read.count("rope.dimension_count", head_dim) == head_dim, ErrorKind::unsupported,
        "{}: llama.rope.dimension_count differs from the head dimension {}", file.path().string(), head_dim);
  config["rms_norm_eps"] = read.number("attention.layer_norm_rms_epsilon", 1e-5);
  config["rope_theta"] = read.number("rope.freq_base", 10000.0);
  config["rope_scaling"] = read.rope_scaling();
  config["vocab_size"] = read.vocabulary_size();
  config["tie_word_embeddings"] = !file.find_tensor("output.weight");
  config["attention_bias"] = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  config["mlp_bias"] = file.find_tensor("blk.0.ffn_up.bias") != nullptr;
  return config;
}

struct Layer {
  Norm attention_norm, mlp_norm;
  Linear qkv, out, gate_up, down;
};

class Llama final : public Model {
 public:
  Llama(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options)
      : checkpoint_(std::move(checkpoint)),
        config_(parse(checkpoint_->spec().config)),
        compute_(options.compute),
        frequencies_(rope_frequencies(checkpoint_->spec().config, config_.head_dim)),
        embedding_(checkpoint_, options, *checkpoint_->spec().find_tensor("model.embed_tokens.weight")),
        final_norm_(load_norm(*checkpoint_, options, "model.norm.weight", "", config_.epsilon)),
        head_(load_head(*checkpoint_, options, "lm_head",
                        checkpoint_->spec().tied_head ? "model.embed_tokens.weight" : "lm_head.weight")) {
    for (int64_t i = 0; i < config_.layers; ++i) layers_.push_back(load_layer(options, i));
  }

  const ModelSpec& spec() const override { return checkpoint_->spec(); }
  const Embedding& embedding() const override { return embedding_; }
  const Head& head() const override { return head_; }

  Packed forward(const Context& context, const Hooks& hooks, KvCache* cache) const override {
    Packed hidden{hooks.embed(context, embedding_), {}, geometry_of(*context.batch)};
    RopeTable table = rope_table(frequencies_, hidden.geometry.positions);
    if (cache) hidden.geometry.plan = cache->plan(*context.batch);
    for (int64_t i = 0; i < config_.layers; ++i) {
      const int64_t rows = hidden.geometry.rows();
      hidden =
          hooks.layer_end(context, static_cast<int>(i), layer({context, hooks, table, cache}, i, hidden));
      if (hidden.geometry.rows() != rows) table = rope_table(frequencies_, hidden.geometry.positions);
    }
    if (cache) cache->advance(*context.batch);
    const AddNorm last = add_rms_norm(hidden.stream, hidden.branch, weight_of(final_norm_, context, hooks),
                                      config_.epsilon, compute_);
    return {last.normed, {}, std::move(hidden.geometry)};
  }

 private:
  Layer load_layer(const LoadOptions& options, int64_t index) const {
    const std::string p = fmt::format("model.layers.{}.", index);
    const Checkpoint& file = *checkpoint_;
    return {
        load_norm(file, options, p + "input_layernorm.weight", "", config_.epsilon),
        load_norm(file, options, p + "post_attention_layernorm.weight", "", config_.epsilon),
        load_linear(file, options, {p + "self_attn.q_proj", p + "self_attn.k_proj", p + "self_attn.v_proj"}),
        load_linear(file, options, {p + "self_attn.o_proj"}),
        load_linear(file, options, {p + "mlp.gate_proj", p + "mlp.up_proj"}),
        load_linear(file, options, {p + "mlp.down_proj"})};
  }

  /// What stays the same from layer to layer.
  struct Pass {
    const Context& context;
    const Hooks& hooks;
    const RopeTable& table;
    KvCache* cache;
  };

  Packed layer(const Pass& pass, int64_t index, const Packed& hidden) const {
    const Layer& l = layers_[index];
    const auto& [context, hooks, table, cache] = pass;
    const int number = static_cast<int>(index);
    const AddNorm first = add_rms_norm(
        hidden.stream, hidden.branch, weight_of(l.attention_norm, context, hooks), config_.epsilon, compute_);
    at::Tensor branch = attention_branch(pass, number, first.normed, hidden.geometry);
    branch = hooks.branch_end(context, {number, Role::attention_out, nullptr}, first.stream, branch);
    const AddNorm second =
        add_rms_norm(first.stream, branch, weight_of(l.mlp_norm, context, hooks), config_.epsilon, compute_);
    branch = apply(l.down, context, hooks, swiglu(apply(l.gate_up, context, hooks, second.normed)));
    branch = hooks.branch_end(context, {number, Role::down, nullptr}, second.stream, branch);
    return {second.stream, branch, hidden.geometry};
  }

  at::Tensor attention_branch(const Pass& pass, int number, const at::Tensor& x,
                              const Geometry& geometry) const {
    const Config& c = config_;
    const auto& [context, hooks, table, cache] = pass;
    const AttentionShape shape{c.heads, c.kv_heads, c.head_dim,
                               1 / std::sqrt(static_cast<double>(c.head_dim))};
    const at::Tensor qkv =
        rope(apply(layers_[number].qkv, context, hooks, x), table, c.heads, c.kv_heads, c.head_dim);
    return apply(layers_[number].out, context, hooks,
                 attend(context, hooks, number, qkv, geometry, shape, cache));
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
  Config config_;
  at::ScalarType compute_;
  RopeFrequencies frequencies_;
  Embedding embedding_;
  Norm final_norm_;
  Head head_;
  std::vector<Layer> layers_;
};

std::unique_ptr<Model> load(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options) {
  return std::make_unique<Llama>(std::move(checkpoint), options);
}

constexpr std::string_view names[] = {"llama"};

}  // namespace

extern const FamilyInfo llama_family;
const FamilyInfo llama_family{"llama", names, names, config_from_gguf, make_spec, load};

}  // namespace lowrank
