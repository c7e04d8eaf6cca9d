// Llama, and the decoders that differ from it in details: pre-norm, RMSNorm, rotary positions, grouped-query
// attention, SwiGLU.
//   h += O(attend(rope([Q; K; V] norm(h))));  h += D(silu(G n) * (U n)) with n = norm(h)
// Llama: Touvron et al. 2023 (arXiv 2302.13971, 2307.09288). Mistral: a window (arXiv 2310.06825). Qwen 2:
// biases on q, k, v (arXiv 2407.10671). Qwen 3: norms on query and key heads (arXiv 2505.09388).
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

constexpr std::string_view family_name = "llama";

DecoderConfig parse(const nlohmann::json& json) {
  const ConfigReader read(json);
  DecoderConfig c = read_decoder_config(read);
  const std::string type = read.text("model_type", "llama");
  const bool qwen = type == "qwen2" || type == "qwen3";
  c.qkv_bias = read.flag("attention_bias", type == "qwen2");
  c.out_bias = type != "qwen2" && c.qkv_bias;
  c.mlp_bias = read.flag("mlp_bias", false);
  c.qk_norm = type == "qwen3";
  c.rotary_order = !qwen;
  read.require(read.text("hidden_act", "silu") == "silu", "hidden_act", "must be silu");
  if (!read.texts("layer_types").empty()) return c;
  if (type == "mistral" && read.has("sliding_window"))
    c.windows.assign(c.layers, read.count("sliding_window"));
  if (qwen && read.flag("use_sliding_window", false) && read.has("sliding_window")) {
    const auto first = static_cast<int64_t>(
        std::clamp(read.number("max_window_layers", 28), 0.0, static_cast<double>(c.layers)));
    std::fill(c.windows.begin() + first, c.windows.end(), read.count("sliding_window"));
  }
  return c;
}

ModelSpec make_spec(const nlohmann::json& config) {
  const DecoderConfig c = parse(config);
  rope_frequencies(config, c.head_dim);
  ModelSpec spec = decoder_spec(family_name, config, c,
                                {{"input_layernorm", "attn_norm"}, {"post_attention_layernorm", "ffn_norm"}});
  const auto type = config.value("model_type", std::string("llama"));
  spec.gguf_architecture = type == "mistral" ? "llama" : type;
  return spec;
}

nlohmann::json config_from_gguf(const GgufFile& file) {
  const auto architecture = file.get<std::string>("general.architecture");
  nlohmann::json config = decoder_config_from_gguf(file, architecture);
  config["model_type"] = architecture;
  config["architectures"] = {architecture == "llama"   ? "LlamaForCausalLM"
                             : architecture == "qwen2" ? "Qwen2ForCausalLM"
                                                       : "Qwen3ForCausalLM"};
  config["hidden_act"] = "silu";
  if (architecture != "qwen2") config["attention_bias"] = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  if (architecture == "llama") config["mlp_bias"] = file.find_tensor("blk.0.ffn_up.bias") != nullptr;
  return config;
}

struct Layer {
  Norm attention_norm, mlp_norm;
  Norm query_norm, key_norm;  ///< Qwen 3 only
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
        head_(load_head(*checkpoint_, options, "lm_head")) {
    layers_.reserve(config_.layers);
    for (int64_t i = 0; i < config_.layers; ++i) layers_.push_back(load_layer(options, i));
  }

  const ModelSpec& spec() const override { return checkpoint_->spec(); }
  const Embedding& embedding() const override { return embedding_; }
  const Head& head() const override { return head_; }

  Packed forward(const Context& context, const Hooks& hooks, KvCache* cache) const override {
    Packed hidden = embedded(context, hooks, embedding_);
    RopeTable table = rope_table(frequencies_, hidden.geometry.positions);
    if (cache) hidden.geometry.plan = cache->plan(*context.batch);
    for (int64_t i = 0; i < config_.layers; ++i) {
      const int64_t rows = hidden.geometry.rows();
      const bool last = i + 1 == config_.layers;
      hidden = run_layer(context, hooks, hidden, static_cast<int>(i), last,
                         [this, &hooks, table, cache](const Packed& state, const Place& in, const Place& out) {
                           return layer({in, out, hooks, table, cache}, state);
                         });
      if (hidden.geometry.rows() != rows && !last)
        table = rope_table(frequencies_, hidden.geometry.positions);
    }
    if (cache) cache->advance(*context.batch);
    const AddNorm end = add_rms_norm(hidden.stream, hidden.branch, weight_of(final_norm_, context, hooks),
                                     config_.epsilon, compute_);
    return {end.normed, {}, std::move(hidden.geometry)};
  }

 private:
  Layer load_layer(const LoadOptions& options, int64_t index) const {
    const std::string p = fmt::format("model.layers.{}.", index);
    const Checkpoint& file = *checkpoint_;
    const auto norm = [&](const char* name) {
      return load_norm(file, options, p + name + ".weight", "", config_.epsilon);
    };
    const auto linear = [&](const std::vector<std::string>& names) {
      std::vector<std::string> full;
      full.reserve(names.size());
      for (const std::string& name : names) full.push_back(p + name);
      return load_linear(file, options, full);
    };
    return {norm("input_layernorm"),
            norm("post_attention_layernorm"),
            config_.qk_norm ? norm("self_attn.q_norm") : Norm{},
            config_.qk_norm ? norm("self_attn.k_norm") : Norm{},
            linear({"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}),
            linear({"self_attn.o_proj"}),
            linear({"mlp.gate_proj", "mlp.up_proj"}),
            linear({"mlp.down_proj"})};
  }

  /// What a layer is computed in.
  struct Pass {
    const Place& in;
    const Place& out;
    const Hooks& hooks;
    const RopeTable& table;
    KvCache* cache;
  };

  TensorPair layer(const Pass& pass, const Packed& hidden) const {
    const auto& [in, out, hooks, table, cache] = pass;
    const Context& context = in.context;
    const Layer& l = layers_[in.layer];
    const AddNorm first = add_rms_norm(
        hidden.stream, hidden.branch, weight_of(l.attention_norm, context, hooks), config_.epsilon, compute_);
    at::Tensor branch = attention_branch(pass, first.normed);
    const at::Tensor stream = leaving_rows(first.stream, hidden.geometry);
    branch = hooks.branch_end(out, {Role::attention_out, nullptr}, stream, branch);
    const AddNorm second =
        add_rms_norm(stream, branch, weight_of(l.mlp_norm, context, hooks), config_.epsilon, compute_);
    const at::Tensor gate_up = apply(l.gate_up, out, hooks, second.normed);
    branch = apply(l.down, out, hooks, glu(gate_up, Gate::silu));
    branch = hooks.branch_end(out, {Role::down, nullptr}, second.stream, branch);
    return {second.stream, branch};
  }

  at::Tensor attention_branch(const Pass& pass, const at::Tensor& x) const {
    const DecoderConfig& c = config_;
    const auto& [in, out, hooks, table, cache] = pass;
    const Context& context = in.context;
    const Layer& l = layers_[in.layer];
    const double scale = 1 / std::sqrt(static_cast<double>(c.head_dim));
    const AttentionShape shape{c.heads, c.kv_heads, c.head_dim, scale, true, c.windows[in.layer]};
    at::Tensor qkv = apply(l.qkv, in, hooks, x);
    if (c.qk_norm) {
      qkv = head_norm(qkv, weight_of(l.query_norm, context, hooks), weight_of(l.key_norm, context, hooks),
                      c.heads, c.kv_heads, c.epsilon);
    }
    qkv = rope(qkv, table, c.heads, c.kv_heads, c.head_dim);
    const at::Tensor attended = attend(in, hooks, qkv, shape, cache);
    return apply(l.out, out, hooks, leaving_rows(attended, in.geometry));
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
  DecoderConfig config_;
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

constexpr std::string_view model_types[] = {"llama", "mistral", "qwen2", "qwen3"};
constexpr std::string_view gguf_architectures[] = {"llama", "qwen2", "qwen3"};

}  // namespace

extern const FamilyInfo llama_family;
const FamilyInfo llama_family{family_name,      model_types, gguf_architectures,
                              config_from_gguf, make_spec,   load};

}  // namespace lowrank
