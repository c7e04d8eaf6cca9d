// GPT-2 (Radford et al. 2019): pre-norm decoder with LayerNorm, learned positions, one fused product for q, k
// and v, and biases everywhere.
//   h += P(attend(C ln_1(h)));  h += D(gelu(U ln_2(h)))
// Its folders hold weights as {in, out} ("Conv1D"), and may leave the prefix `transformer.` out of all names.
#include <ATen/TensorOperators.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/relu.h>

#include "base/error.h"
#include "kernels/layer_norm.h"
#include "model/blocks.h"
#include "model/checkpoint.h"
#include "model/config_reader.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "gpt2";

struct Config {
  int64_t hidden = 0, ff = 0, layers = 0, heads = 0, vocabulary = 0, positions = 0;
  double epsilon = 0;
  std::string activation;
  bool tied = true;
};

Config parse(const nlohmann::json& json) {
  const ConfigReader read(json);
  Config c;
  c.hidden = read.count("n_embd");
  c.ff = read.count("n_inner", 4 * c.hidden);
  c.layers = read.count("n_layer", std::nullopt, most_layers);
  c.heads = read.count("n_head");
  c.vocabulary = read.count("vocab_size");
  c.positions = read.count("n_positions", 1024);
  c.epsilon = read.positive("layer_norm_epsilon", 1e-5);
  c.activation = read.text("activation_function", "gelu_new");
  c.tied = read.flag("tie_word_embeddings", true);
  read.require(c.hidden % c.heads == 0, "n_head", "must divide n_embd");
  read.require(c.activation == "gelu_new" || c.activation == "gelu_pytorch_tanh" || c.activation == "gelu" ||
                   c.activation == "relu",
               "activation_function", "must be gelu_new, gelu or relu");
  read.require(read.flag("scale_attn_weights", true), "scale_attn_weights", "must be true");
  for (const char* name : {"scale_attn_by_inverse_layer_idx", "add_cross_attention"})
    read.require(!read.flag(name, false), name, "must be false");
  return c;
}

struct Names {
  const char* name;
  const char* gguf_name;
  Role role;
  int64_t in, out;
};

void add_layer(ModelSpec& spec, const Config& c, int layer) {
  const std::string prefix = fmt::format("transformer.h.{}.", layer);
  const std::string gguf_prefix = fmt::format("blk.{}.", layer);
  const Names linears[] = {{"attn.c_attn", "attn_qkv", Role::query_key_value, c.hidden, 3 * c.hidden},
                           {"attn.c_proj", "attn_output", Role::attention_out, c.hidden, c.hidden},
                           {"mlp.c_fc", "ffn_up", Role::up, c.hidden, c.ff},
                           {"mlp.c_proj", "ffn_down", Role::down, c.ff, c.hidden}};
  for (const Names& linear : linears) {
    const std::string name = prefix + linear.name;
    const std::string gguf_name = gguf_prefix + linear.gguf_name;
    spec.modules.push_back({name, layer, linear.role, linear.in, linear.out, true});
    TensorRef weight{name + ".weight", gguf_name + ".weight", {linear.out, linear.in}, layer, linear.role};
    weight.transposed = true;
    spec.tensors.push_back(weight);
    spec.tensors.push_back({name + ".bias", gguf_name + ".bias", {linear.out}, layer, linear.role});
  }
  for (const auto& [name, gguf_name] : {std::pair{"ln_1", "attn_norm"}, std::pair{"ln_2", "ffn_norm"}}) {
    for (const char* part : {".weight", ".bias"})
      spec.tensors.push_back(
          {prefix + name + part, gguf_prefix + gguf_name + part, {c.hidden}, layer, Role::norm});
  }
}

ModelSpec make_spec(const nlohmann::json& config) {
  const Config c = parse(config);
  ModelSpec spec;
  spec.family = std::string(family_name);
  spec.gguf_architecture = "gpt2";
  spec.config = config;
  spec.layers = c.layers;
  spec.hidden_size = c.hidden;
  spec.heads = spec.kv_heads = c.heads;
  spec.head_dim = c.hidden / c.heads;
  spec.vocabulary_size = c.vocabulary;
  spec.max_positions = c.positions;
  spec.tied_head = c.tied;
  spec.optional_prefix = "transformer.";
  spec.modules.push_back({"transformer.wte", -1, Role::embedding, c.vocabulary, c.hidden});
  spec.modules.push_back({"transformer.wpe", -1, Role::position, c.positions, c.hidden});
  spec.tensors.push_back(
      {"transformer.wte.weight", "token_embd.weight", {c.vocabulary, c.hidden}, -1, Role::embedding});
  spec.tensors.push_back(
      {"transformer.wpe.weight", "position_embd.weight", {c.positions, c.hidden}, -1, Role::position});
  for (int layer = 0; layer < c.layers; ++layer) add_layer(spec, c, layer);
  for (const char* part : {".weight", ".bias"}) {
    spec.tensors.push_back({std::string("transformer.ln_f") + part,
                            std::string("output_norm") + part,
                            {c.hidden},
                            -1,
                            Role::norm});
  }
  spec.modules.push_back({"lm_head", -1, Role::head, c.hidden, c.vocabulary});
  spec.tensors.push_back(
      {"lm_head.weight", "output.weight", {c.vocabulary, c.hidden}, -1, Role::head, 0, c.tied});
  return spec;
}

nlohmann::json config_from_gguf(const GgufFile& file) {
  const GgufConfigReader read(file, "gpt2");
  nlohmann::json config = {{"model_type", "gpt2"}, {"architectures", {"GPT2LMHeadModel"}}};
  config["n_layer"] = read.count("block_count", std::nullopt, most_layers);
  config["n_embd"] = read.count("embedding_length");
  config["n_inner"] = read.count("feed_forward_length");
  config["n_positions"] = read.count("context_length");
  config["n_head"] = read.count("attention.head_count");
  config["layer_norm_epsilon"] = read.number("attention.layer_norm_epsilon", 1e-5);
  config["vocab_size"] = read.vocabulary_size();
  config["activation_function"] = "gelu_new";
  config["tie_word_embeddings"] = !file.find_tensor("output.weight");
  return config;
}

struct Layer {
  Norm attention_norm, mlp_norm;
  Linear qkv, out, up, down;
};

class Gpt2 final : public Model {
 public:
  Gpt2(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options)
      : checkpoint_(std::move(checkpoint)),
        config_(parse(checkpoint_->spec().config)),
        compute_(options.compute),
        embedding_(checkpoint_, options, *checkpoint_->spec().find_tensor("transformer.wte.weight")),
        positions_(checkpoint_, options, *checkpoint_->spec().find_tensor("transformer.wpe.weight")),
        final_norm_(norm(options, "transformer.ln_f")),
        head_(load_head(*checkpoint_, options, "lm_head")) {
    for (int64_t i = 0; i < config_.layers; ++i) {
      const std::string p = fmt::format("transformer.h.{}.", i);
      const auto linear = [&](const char* name) { return load_linear(*checkpoint_, options, {p + name}); };
      layers_.push_back({norm(options, p + "ln_1"), norm(options, p + "ln_2"), linear("attn.c_attn"),
                         linear("attn.c_proj"), linear("mlp.c_fc"), linear("mlp.c_proj")});
    }
  }

  const ModelSpec& spec() const override { return checkpoint_->spec(); }
  const Embedding& embedding() const override { return embedding_; }
  const Head& head() const override { return head_; }

  Packed forward(const Context& context, const Hooks& hooks, KvCache* cache) const override {
    Packed hidden = embedded(context, hooks, embedding_);
    hidden.stream = hidden.stream + position_rows(context, hooks, hidden.geometry);
    if (cache) hidden.geometry.plan = cache->plan(*context.batch);
    for (int64_t i = 0; i < config_.layers; ++i) {
      const bool last = i + 1 == config_.layers;
      hidden = run_layer(context, hooks, hidden, static_cast<int>(i), last,
                         [this, &hooks, cache](const Packed& state, const Place& in, const Place& out) {
                           return layer(in, out, hooks, cache, state);
                         });
    }
    if (cache) cache->advance(*context.batch);
    const AddNorm end = normed(hidden.stream, hidden.branch, final_norm_, context, hooks);
    return {end.normed, {}, std::move(hidden.geometry)};
  }

 private:
  Norm norm(const LoadOptions& options, const std::string& name) const {
    return load_norm(*checkpoint_, options, name + ".weight", name + ".bias", config_.epsilon);
  }

  AddNorm normed(const at::Tensor& stream, const at::Tensor& branch, const Norm& norm, const Context& context,
                 const Hooks& hooks) const {
    return add_layer_norm(stream, branch, weight_of(norm, context, hooks), bias_of(norm, context, hooks),
                          config_.epsilon, compute_);
  }

  at::Tensor position_rows(const Context& context, const Hooks& hooks, const Geometry& geometry) const {
    const std::span<const int64_t> ids(geometry.positions.const_data_ptr<int64_t>(),
                                       geometry.positions.numel());
    if (positions_.frozen()) return positions_.look_up(ids);
    return positions_.look_up(ids, hooks.weight(context, positions_.tensor()));
  }

  at::Tensor activated(const at::Tensor& x) const {
    if (config_.activation == "relu") return at::relu(x);
    return at::gelu(x, config_.activation == "gelu" ? "none" : "tanh");
  }

  TensorPair layer(const Place& in, const Place& out, const Hooks& hooks, KvCache* cache,
                   const Packed& hidden) const {
    const Layer& l = layers_[in.layer];
    const Context& context = in.context;
    const int64_t head_dim = config_.hidden / config_.heads;
    const AttentionShape shape{
        config_.heads, config_.heads, head_dim, 1 / std::sqrt(static_cast<double>(head_dim)), true, 0};
    const AddNorm first = normed(hidden.stream, hidden.branch, l.attention_norm, context, hooks);
    const at::Tensor qkv = apply(l.qkv, in, hooks, first.normed);
    const at::Tensor attended = attend(in, hooks, qkv, shape, cache);
    const at::Tensor stream = leaving_rows(first.stream, hidden.geometry);
    at::Tensor branch = apply(l.out, out, hooks, leaving_rows(attended, hidden.geometry));
    branch = hooks.branch_end(out, {Role::attention_out, nullptr}, stream, branch);
    const AddNorm second = normed(stream, branch, l.mlp_norm, context, hooks);
    branch = apply(l.down, out, hooks, activated(apply(l.up, out, hooks, second.normed)));
    branch = hooks.branch_end(out, {Role::down, nullptr}, second.stream, branch);
    return {second.stream, branch};
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
  Config config_;
  at::ScalarType compute_;
  Embedding embedding_, positions_;
  Norm final_norm_;
  Head head_;
  std::vector<Layer> layers_;
};

std::unique_ptr<Model> load(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options) {
  return std::make_unique<Gpt2>(std::move(checkpoint), options);
}

constexpr std::string_view model_types[] = {"gpt2"};
constexpr std::string_view gguf_architectures[] = {"gpt2"};

}  // namespace

extern const FamilyInfo gpt2_family;
const FamilyInfo gpt2_family{family_name, model_types, gguf_architectures, config_from_gguf, make_spec, load};

}  // namespace lowrank
