#include "model/gemma4/gemma4_model.h"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include "base/error.h"
#include "kernels/operations/attention.h"
#include "kernels/operations/glu.h"
#include "kernels/operations/recomputed.h"
#include "kernels/operations/rms_norm.h"
#include "model/activation.h"
#include "model/blocks.h"
#include "model/experts.h"
#include "model/gemma4/gemma4_layer.h"
#include "model/gemma4/gemma4_spec.h"

namespace lowrank {
namespace {

namespace part = gemma4_part;

/// What is known of a pass, and the keys and values that later layers read.
struct Pass {
  const Context& context;
  const Hooks& hooks;
  KvCache* cache;
  RopeTable full, sliding;
  std::vector<at::Tensor> rows;    ///< [layers] keys and values side by side, [T, 2 kv_heads * head_dim]
  std::vector<KeyValue> stored{};  ///< [layers] their tables in the cache
};

/// What enters a layer beside the stream.
struct Beside {
  at::Tensor input;  ///< [T, p], in the stream's type; undefined: none
  at::Tensor keys;   ///< of the layer that this one reads, as Pass::rows; undefined: it has its own
};

class Gemma4 final : public Model {
 public:
  Gemma4(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options, Gemma4Config config)
      : checkpoint_(std::move(checkpoint)),
        config_(std::move(config)),
        compute_(options.compute),
        embedding_(table(options, part::embedding, std::sqrt(static_cast<float>(config_.hidden)))) {
    const Gemma4Loader load(*checkpoint_, options, config_);
    if (config_.layer_input > 0) {
      inputs_.emplace(
          table(options, part::input_embedding, std::sqrt(static_cast<float>(config_.layer_input))));
      projection_ = load.linear(config_.prefix, {part::model_projection});
      projection_norm_ = load.norm(config_.prefix + part::projection_norm);
    }
    final_norm_ = load.norm(config_.prefix + part::final_norm);
    head_ = load_head(*checkpoint_, options, "lm_head");
    head_.softcap = config_.logit_softcap;
    for (int64_t i = 0; i < config_.count(); ++i) layers_.push_back(load.layer(i));
  }

  const ModelSpec& spec() const override { return checkpoint_->spec(); }
  const Embedding& embedding() const override { return embedding_; }
  const Head& head() const override { return head_; }

  HiddenState forward(const Context& context, const Hooks& hooks, KvCache* cache) const override {
    HiddenState hidden = embedded(context, hooks, embedding_);
    const at::Tensor inputs = layer_inputs(context, hooks, hidden);
    Pass pass{context,
              hooks,
              cache,
              rope_table(config_.full, hidden.layout, hidden.stream.device()),
              rope_table(config_.sliding, hidden.layout, hidden.stream.device()),
              std::vector<at::Tensor>(layers_.size())};
    pass.stored.resize(layers_.size());
    if (cache) hidden.layout.plan = cache->plan(*context.batch);
    for (int64_t i = 0; i < config_.count(); ++i) {
      const int64_t rows = hidden.layout.rows(), p = config_.layer_input;
      const bool last = i + 1 == config_.count();
      const at::Tensor input = p > 0 ? inputs.narrow(1, i * p, p) : at::Tensor();
      hidden = run_layer(pass, hidden, static_cast<int>(i), last, input);
      if (hidden.layout.rows() == rows || last) continue;
      pass.full = rope_table(config_.full, hidden.layout, hidden.stream.device());
      pass.sliding = rope_table(config_.sliding, hidden.layout, hidden.stream.device());
    }
    if (cache) cache->advance(*context.batch);
    const at::Tensor state = add_rms_norm(hidden.stream, hidden.branch,
                                          weight_of(final_norm_, context, hooks), config_.epsilon, compute_)
                                 .normed;
    return {state, {}, std::move(hidden.layout)};
  }

 private:
  Embedding table(const LoadOptions& options, const char* name, double multiplier) const {
    return {checkpoint_, options, *checkpoint_->spec().find_tensor(config_.prefix + name + ".weight"),
            multiplier};
  }

  /// The inputs of all layers side by side, [T, layers * p]; undefined for models without.
  at::Tensor layer_inputs(const Context& context, const Hooks& hooks, const HiddenState& hidden) const {
    if (!inputs_) return {};
    const at::Tensor& stream = hidden.stream;
    const at::ScalarType type = stream.scalar_type();
    const at::Tensor projected = apply(projection_, {context, hidden.layout}, hooks, stream.to(compute_)) *
                                 (1 / std::sqrt(static_cast<double>(config_.hidden)));
    const at::Tensor normed = rms_norm(projected.reshape({-1, config_.layer_input}),
                                       weight_of(projection_norm_, context, hooks), config_.epsilon, type)
                                  .reshape(projected.sizes());
    const std::span<const int64_t> ids(context.batch->tokens);
    const at::Tensor rows = inputs_->frozen()
                                ? inputs_->look_up(ids)
                                : inputs_->look_up(ids, hooks.weight(context, inputs_->tensor()));
    return (normed + rows) * std::sqrt(0.5);
  }

  /// As model/blocks' run_layer, for layers with more inputs and outputs than the stream.
  HiddenState run_layer(Pass& pass, const HiddenState& hidden, int index, bool last,
                        const at::Tensor& input) const {
    const SequenceLayout layout = layout_entering(pass.context, hidden.layout, last);
    const auto behind = std::make_shared<const SequenceLayout>(layout_after_layer(layout));
    const Beside beside{input,
                        config_.is_source(index) ? at::Tensor() : pass.rows[config_.layers[index].source]};
    const at::Tensor stream = hidden.sum();
    TensorPair result;
    if (pass.context.recompute) {
      // Recomputing knows two inputs.
      const at::Tensor both = input.defined() ? at::cat({stream, input}, 1) : stream;
      const auto body = [this, context = pass.context, &hooks = pass.hooks, full = pass.full,
                         sliding = pass.sliding, layout, behind, index,
                         width = stream.size(1)](const at::Tensor& a, const at::Tensor& keys) {
        const int64_t more = a.size(1) - width;
        const Beside own{more > 0 ? a.narrow(1, width, more) : at::Tensor(), keys};
        Pass again{context, hooks, nullptr, full, sliding, {}};
        return layer(again, {context, layout, index}, {context, *behind, index}, a.narrow(1, 0, width), own);
      };
      // Many layers read the same keys, of which one copy is enough.
      return_pieces(both, index);
      result = recomputed(both, beside.keys, body, {.a = true});
    } else {
      result = layer(pass, {pass.context, layout, index}, {pass.context, *behind, index}, stream, beside);
    }
    if (config_.is_read_later(index)) pass.rows[index] = result.second;
    return pass.hooks.layer_end({pass.context, *behind, index}, {result.first, {}, *behind});
  }

  /// What is added to the stream, from the output of a branch that began at the stream `begun`.
  at::Tensor ended(const Pass& pass, const Place& out, Role role, const Norm& norm, const at::Tensor& begun,
                   const at::Tensor& branch) const {
    const at::Tensor normed =
        rms_norm(branch, weight_of(norm, out.context, pass.hooks), config_.epsilon, compute_);
    return pass.hooks.branch_end(out, {role, nullptr}, begun, normed);
  }

  AddNorm entered(const Pass& pass, const Place& place, const Norm& norm, const at::Tensor& stream,
                  const at::Tensor& branch) const {
    return add_rms_norm(stream, branch, weight_of(norm, place.context, pass.hooks), config_.epsilon,
                        compute_);
  }

  /// The stream after the layer, and the keys and values that later layers read (undefined where none do).
  TensorPair layer(Pass& pass, const Place& in, const Place& out, const at::Tensor& entering,
                   const Beside& beside) const {
    const Gemma4LayerParts& l = layers_[in.layer];
    const AddNorm first = entered(pass, in, l.before_attention, entering, {});
    auto [branch, rows] = attention_branch(pass, in, out, first.normed, beside.keys);
    const at::Tensor stream = output_rows(first.stream, in.layout);
    branch = ended(pass, out, Role::attention_out, l.after_attention, stream, branch);
    const AddNorm second = entered(pass, out, l.before_mlp, stream, branch);
    branch =
        apply(l.down, out, pass.hooks, glu(apply(l.up, out, pass.hooks, second.normed), Gate::gelu_tanh));
    if (l.experts) branch = with_experts(pass, out, l, second.stream, branch);
    branch = ended(pass, out, Role::down, l.after_mlp, second.stream, branch);
    at::Tensor sum = second.stream + branch;
    if (beside.input.defined()) {
      const at::Tensor gate = apply(l.input_gate, out, pass.hooks, sum.to(compute_));
      const at::Tensor input = output_rows(beside.input, in.layout).to(compute_);
      const at::Tensor projected =
          apply(l.input_projection, out, pass.hooks, activated(gate, Activation::gelu_tanh) * input);
      sum = sum +
            rms_norm(projected, weight_of(l.after_input, out.context, pass.hooks), config_.epsilon, compute_);
    }
    return {l.scalar == 1 ? sum : sum * l.scalar, rows};
  }

  /// The normed output of the MLP plus that of the experts, which read the stream before it.
  at::Tensor with_experts(const Pass& pass, const Place& out, const Gemma4LayerParts& l,
                          const at::Tensor& stream, const at::Tensor& dense) const {
    const auto normed = [&](const at::Tensor& x, const Norm& norm) {
      return rms_norm(x, weight_of(norm, out.context, pass.hooks), config_.epsilon, compute_);
    };
    const at::Tensor read = rms_norm(stream, l.router_scales, config_.epsilon, l.router_scales.scalar_type());
    const at::Tensor experts = apply(*l.experts, out, pass.hooks, normed(stream, l.before_experts), read);
    return normed(dense, l.after_dense) + normed(experts, l.after_experts);
  }

  TensorPair attention_branch(Pass& pass, const Place& in, const Place& out, const at::Tensor& x,
                              const at::Tensor& keys) const {
    const Gemma4LayerParts& l = layers_[in.layer];
    const Gemma4Layer& shape = config_.layers[in.layer];
    const RopeTable& table = shape.slides() ? pass.sliding : pass.full;
    const AttentionShape attends{config_.heads, shape.kv_heads, shape.head_dim, 1, true, shape.window, 0};
    const at::Tensor products = apply(l.query_key_value, in, pass.hooks, x);
    const at::Tensor qkv = keys.defined()
                               ? at::cat({l.heads.query(products, table, in.context, pass.hooks), keys}, 1)
                               : l.heads.query_key_value(products, table, in.context, pass.hooks);
    std::vector<KeyValue> extra;
    if (pass.cache) {
      KeyValue& stored = pass.stored[shape.source];
      if (!keys.defined()) stored = pass.cache->append(in.layer, *in.context.batch, qkv, attends);
      extra.push_back(stored);
    }
    const at::Tensor attended = attention(qkv, extra, in.layout.plan, attends);
    const int64_t width = config_.heads * shape.head_dim;
    const at::Tensor rows = config_.is_read_later(in.layer)
                                ? qkv.narrow(1, width, qkv.size(1) - width).contiguous()
                                : at::Tensor();
    return {apply(l.out, out, pass.hooks, output_rows(attended, in.layout)), rows};
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
  Gemma4Config config_;
  at::ScalarType compute_;
  Embedding embedding_;
  std::optional<Embedding> inputs_;
  Linear projection_;
  Norm projection_norm_, final_norm_;
  Head head_;
  std::vector<Gemma4LayerParts> layers_;
};

}  // namespace

std::unique_ptr<Model> load_gemma4(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options) {
  Gemma4Config config = read_gemma4(checkpoint->spec().config);
  return std::make_unique<Gemma4>(std::move(checkpoint), options, std::move(config));
}

}  // namespace lowrank
