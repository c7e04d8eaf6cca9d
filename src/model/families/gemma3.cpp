// Gemma 3, text only (Gemma Team 2025, arXiv 2503.19786): RMSNorm before and after each branch with weights
// 1 + w, norms on query and key heads, GeGLU, embeddings times sqrt(d), and of six layers five that see a
// window with rotary positions of their own.
//   h += norm(O(attend(rope(norm([Q; K; V] norm(h))))));  h += norm(D(gelu(G n) * (U n))) with n = norm(h)
#include "base/error.h"
#include "kernels/glu.h"
#include "kernels/head_norm.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "model/blocks.h"
#include "model/checkpoint.h"
#include "model/decoder_config.h"
#include "model/registry.h"
#include "model/rope_frequencies.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "gemma3";

struct Config : DecoderConfig {
  double query_scale = 0;  ///< of q·k
};

Config parse(const nlohmann::json& json) {
  const ConfigReader read(json);
  Config c{read_decoder_config(read)};
  c.tied = read.flag("tie_word_embeddings", true);
  c.qkv_bias = c.out_bias = read.flag("attention_bias", false);
  c.qk_norm = true;
  c.norm_offset = 1;
  c.query_scale = 1 / std::sqrt(read.positive("query_pre_attn_scalar", 256));
  read.require(read.text("hidden_activation", "gelu_pytorch_tanh") == "gelu_pytorch_tanh",
               "hidden_activation", "must be gelu_pytorch_tanh");
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping"})
    read.require(!read.has(key), key, "must be absent: capped logits are not supported");
  read.require(!read.flag("use_bidirectional_attention", false), "use_bidirectional_attention",
               "must be false: only causal models are supported");
  if (read.texts("layer_types").empty()) {
    const int64_t pattern = read.count("sliding_window_pattern", 6);
    for (int64_t i = 0; i < c.layers; ++i) {
      if ((i + 1) % pattern != 0) c.windows[i] = read.count("sliding_window", 4096);
    }
  }
  return c;
}

/// Rotary frequencies of the layers that see everything, and of those that see a window.
struct Frequencies {
  RopeFrequencies global, local;
};

Frequencies frequencies_of(const nlohmann::json& config, int64_t head_dim) {
  const auto both = config.find("rope_parameters");
  if (both != config.end() && both->is_object() && both->contains("full_attention")) {
    return {rope_frequencies({{"rope_parameters", both->at("full_attention")}}, head_dim),
            rope_frequencies(
                {{"rope_parameters", both->value("sliding_attention", nlohmann::json::object())}}, head_dim)};
  }
  return {rope_frequencies(config, head_dim),
          rope_frequencies({{"rope_theta", ConfigReader(config).number("rope_local_base_freq", 10000.0)}},
                           head_dim)};
}

ModelSpec make_spec(const nlohmann::json& config) {
  const Config c = parse(config);
  frequencies_of(config, c.head_dim);
  ModelSpec spec = decoder_spec(family_name, config, c,
                                {{"input_layernorm", "attn_norm"},
                                 {"post_attention_layernorm", "post_attention_norm"},
                                 {"pre_feedforward_layernorm", "ffn_norm"},
                                 {"post_feedforward_layernorm", "post_ffw_norm"}});
  spec.gguf_architecture = "gemma3";
  return spec;
}

nlohmann::json config_from_gguf(const GgufFile& file) {
  constexpr int64_t layers_of_27b = 62;
  const GgufConfigReader read(file, "gemma3");
  nlohmann::json config = decoder_config_from_gguf(file, "gemma3");
  config["model_type"] = "gemma3_text";
  config["architectures"] = {"Gemma3ForCausalLM"};
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["rope_local_base_freq"] = read.number("rope.freq_base_swa", 10000.0);
  if (!file.find<double>("gemma3.rope.freq_base")) config["rope_theta"] = 1e6;
  config["sliding_window"] = read.count("attention.sliding_window", 1024);
  // The file does not say it; only the largest model divides by something else than the head's size.
  config["query_pre_attn_scalar"] =
      config["num_hidden_layers"] == layers_of_27b
          ? config["hidden_size"].get<int64_t>() / config["num_attention_heads"].get<int64_t>()
          : config["head_dim"].get<int64_t>();
  std::vector<std::string> types;
  for (int64_t i = 0; i < config["num_hidden_layers"].get<int64_t>(); ++i)
    types.emplace_back((i + 1) % 6 == 0 ? "full_attention" : "sliding_attention");
  config["layer_types"] = types;
  return config;
}

struct Layer {
  Norm before_attention, after_attention, before_mlp, after_mlp, query, key;
  Linear qkv, out, gate_up, down;
};

class Gemma3 final : public Model {
 public:
  Gemma3(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options)
      : checkpoint_(std::move(checkpoint)),
        config_(parse(checkpoint_->spec().config)),
        compute_(options.compute),
        frequencies_(frequencies_of(checkpoint_->spec().config, config_.head_dim)),
        embedding_(checkpoint_, options, *checkpoint_->spec().find_tensor("model.embed_tokens.weight"),
                   std::sqrt(static_cast<float>(config_.hidden))),
        final_norm_(norm(options, "model.norm")),
        head_(load_head(*checkpoint_, options, "lm_head")) {
    layers_.reserve(config_.layers);
    for (int64_t i = 0; i < config_.layers; ++i) layers_.push_back(load_layer(options, i));
  }

  const ModelSpec& spec() const override { return checkpoint_->spec(); }
  const Embedding& embedding() const override { return embedding_; }
  const Head& head() const override { return head_; }

  Packed forward(const Context& context, const Hooks& hooks, KvCache* cache) const override {
    Packed hidden = embedded(context, hooks, embedding_);
    Tables tables = tables_at(hidden.geometry);
    if (cache) hidden.geometry.plan = cache->plan(*context.batch);
    for (int64_t i = 0; i < config_.layers; ++i) {
      const int64_t rows = hidden.geometry.rows();
      const bool last = i + 1 == config_.layers;
      hidden = run_layer(context, hooks, hidden, static_cast<int>(i), last,
                         [this, &hooks, tables, cache](const Packed& state, const Place& in, const Place& out) {
                           return layer({in, out, hooks, tables, cache}, state);
                         });
      if (hidden.geometry.rows() != rows && !last) tables = tables_at(hidden.geometry);
    }
    if (cache) cache->advance(*context.batch);
    const AddNorm end = add_rms_norm(hidden.stream, hidden.branch, weight_of(final_norm_, context, hooks),
                                     config_.epsilon, compute_);
    return {end.normed, {}, std::move(hidden.geometry)};
  }

 private:
  struct Tables {
    RopeTable global, local;
  };

  /// What a layer is computed in.
  struct Pass {
    const Place& in;
    const Place& out;
    const Hooks& hooks;
    const Tables& tables;
    KvCache* cache;
  };

  Tables tables_at(const Geometry& geometry) const {
    return {rope_table(frequencies_.global, geometry.positions),
            rope_table(frequencies_.local, geometry.positions)};
  }

  Norm norm(const LoadOptions& options, const std::string& name) const {
    return load_norm(*checkpoint_, options, name + ".weight", "", config_.epsilon, config_.norm_offset);
  }

  Layer load_layer(const LoadOptions& options, int64_t index) const {
    const std::string p = fmt::format("model.layers.{}.", index);
    const Checkpoint& file = *checkpoint_;
    return {
        norm(options, p + "input_layernorm"),
        norm(options, p + "post_attention_layernorm"),
        norm(options, p + "pre_feedforward_layernorm"),
        norm(options, p + "post_feedforward_layernorm"),
        norm(options, p + "self_attn.q_norm"),
        norm(options, p + "self_attn.k_norm"),
        load_linear(file, options, {p + "self_attn.q_proj", p + "self_attn.k_proj", p + "self_attn.v_proj"}),
        load_linear(file, options, {p + "self_attn.o_proj"}),
        load_linear(file, options, {p + "mlp.gate_proj", p + "mlp.up_proj"}),
        load_linear(file, options, {p + "mlp.down_proj"})};
  }

  /// The norm of a branch's output.
  at::Tensor normed(const Pass& pass, const Norm& norm, const at::Tensor& branch) const {
    return rms_norm(branch, weight_of(norm, pass.in.context, pass.hooks), config_.epsilon, compute_);
  }

  TensorPair layer(const Pass& pass, const Packed& hidden) const {
    const auto& [in, out, hooks, tables, cache] = pass;
    const Context& context = in.context;
    const Layer& l = layers_[in.layer];
    const AddNorm first =
        add_rms_norm(hidden.stream, hidden.branch, weight_of(l.before_attention, context, hooks),
                     config_.epsilon, compute_);
    at::Tensor branch =
        normed(pass, l.after_attention, attention_branch(pass, first.normed));
    const at::Tensor stream = leaving_rows(first.stream, hidden.geometry);
    branch = hooks.branch_end(out, {Role::attention_out, nullptr}, stream, branch);
    const AddNorm second =
        add_rms_norm(stream, branch, weight_of(l.before_mlp, context, hooks), config_.epsilon, compute_);
    const at::Tensor gate_up = apply(l.gate_up, out, hooks, second.normed);
    branch = normed(pass, l.after_mlp, apply(l.down, out, hooks, glu(gate_up, Gate::gelu_tanh)));
    branch = hooks.branch_end(out, {Role::down, nullptr}, second.stream, branch);
    return {second.stream, branch};
  }

  at::Tensor attention_branch(const Pass& pass, const at::Tensor& x) const {
    const Config& c = config_;
    const auto& [in, out, hooks, tables, cache] = pass;
    const Context& context = in.context;
    const Layer& l = layers_[in.layer];
    const AttentionShape shape{c.heads, c.kv_heads, c.head_dim, c.query_scale, true, c.windows[in.layer]};
    at::Tensor qkv = head_norm(apply(l.qkv, in, hooks, x), weight_of(l.query, context, hooks),
                               weight_of(l.key, context, hooks), c.heads, c.kv_heads, c.epsilon);
    qkv = rope(qkv, shape.window > 0 ? tables.local : tables.global, c.heads, c.kv_heads, c.head_dim);
    const at::Tensor attended = attend(in, hooks, qkv, shape, cache);
    return apply(l.out, out, hooks, leaving_rows(attended, in.geometry));
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
  Config config_;
  at::ScalarType compute_;
  Frequencies frequencies_;
  Embedding embedding_;
  Norm final_norm_;
  Head head_;
  std::vector<Layer> layers_;
};

std::unique_ptr<Model> load(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options) {
  return std::make_unique<Gemma3>(std::move(checkpoint), options);
}

constexpr std::string_view model_types[] = {"gemma3_text"};
constexpr std::string_view gguf_architectures[] = {"gemma3"};

}  // namespace

extern const FamilyInfo gemma3_family;
const FamilyInfo gemma3_family{family_name,      model_types, gguf_architectures,
                               config_from_gguf, make_spec,   load};

}  // namespace lowrank
