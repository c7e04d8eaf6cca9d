#include "model/encoders/rotary_encoder.h"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>

#include "base/error.h"
#include "kernels/operations/glu.h"
#include "kernels/operations/layer_norm.h"
#include "kernels/operations/rope.h"
#include "model/blocks.h"

namespace lowrank {
namespace {

struct Layer {
  Norm attention_norm;  ///< none in the first layer
  Linear qkv, out;
  Norm mlp_norm;
  Linear up, down;
};

/// The label head; absent for other tasks.
struct LabelHead {
  Linear dense;
  Norm norm;
  Linear out;
};

class RotaryEncoder final : public Model {
 public:
  RotaryEncoder(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options,
                RotaryEncoderConfig config)
      : checkpoint_(std::move(checkpoint)),
        config_(std::move(config)),
        compute_(options.compute),
        embedding_(checkpoint_, options,
                   *checkpoint_->spec().find_tensor("model.embeddings.tok_embeddings.weight")),
        embedding_norm_(norm(options, "model.embeddings.norm")),
        final_norm_(norm(options, "model.final_norm")) {
    const auto linear = [&](const std::string& name) { return load_linear(*checkpoint_, options, {name}); };
    for (int64_t i = 0; i < config_.layers; ++i) {
      const std::string p = fmt::format("model.layers.{}.", i);
      layers_.push_back({i > 0 ? norm(options, p + "attn_norm") : Norm(), linear(p + "attn.Wqkv"),
                         linear(p + "attn.Wo"), norm(options, p + "mlp_norm"), linear(p + "mlp.Wi"),
                         linear(p + "mlp.Wo")});
    }
    if (!spec().labels) return;
    LoadOptions exact = options;
    exact.nf4 = false;
    label_head_ = {linear("head.dense"), norm(options, "head.norm"),
                   load_linear(*checkpoint_, exact, {"classifier"})};
  }

  const ModelSpec& spec() const override { return checkpoint_->spec(); }
  const Embedding& embedding() const override { return embedding_; }
  Pooling label_pooling() const override { return config_.pooling; }

  HiddenState forward(const Context& context, const Hooks& hooks, KvCache* cache) const override {
    check(!cache, ErrorKind::unsupported, "the family {} encodes whole texts and does not continue them",
          spec().family);
    HiddenState hidden = embedded(context, hooks, embedding_);
    hidden.stream =
        normed(context, hooks, embedding_norm_, hidden.stream, {}, hidden.stream.scalar_type()).normed;
    std::vector<RopeTable> tables = tables_at(hidden);
    for (int64_t i = 0; i < config_.layers; ++i) {
      const int64_t rows = hidden.layout.rows();
      const bool last = i + 1 == config_.layers;
      hidden = run_layer(context, hooks, hidden, static_cast<int>(i), last,
                         [this, &hooks, tables](const HiddenState& state, const Place& in, const Place& out) {
                           return layer(in, out, hooks, tables, state);
                         });
      if (hidden.layout.rows() != rows && !last) tables = tables_at(hidden);
    }
    at::Tensor state =
        normed(context, hooks, final_norm_, hidden.stream, hidden.branch, hidden.stream.scalar_type()).normed;
    return {std::move(state), {}, std::move(hidden.layout)};
  }

  at::Tensor label_scores(const Context& context, const Hooks& hooks,
                          const at::Tensor& pooled) const override {
    if (!label_head_) return Model::label_scores(context, hooks, pooled);
    const SequenceLayout layout = layout_of_rows(*context.batch, first_rows_of(*context.batch));
    const Place place{context, layout};
    const at::Tensor dense =
        activated(apply(label_head_->dense, place, hooks, pooled.to(compute_)), config_.head_activation)
            .to(pooled.scalar_type());
    const at::Tensor read = normed(context, hooks, label_head_->norm, dense, {}, compute_).normed;
    return apply(label_head_->out, place, hooks, read).to(pooled.scalar_type());
  }

 private:
  Norm norm(const LoadOptions& options, const std::string& name) const {
    return load_norm(*checkpoint_, options, name + ".weight", config_.norm_bias ? name + ".bias" : "",
                     config_.epsilon);
  }

  /// The stream with the branch added, and its norm.
  AddNorm normed(const Context& context, const Hooks& hooks, const Norm& norm, const at::Tensor& stream,
                 const at::Tensor& branch, at::ScalarType type) const {
    if (!norm.weight) {
      const at::Tensor sum = branch.defined() ? at::add(stream, branch) : stream;
      return {sum, sum.to(type)};
    }
    return add_layer_norm(stream, branch, weight_of(norm, context, hooks), bias_of(norm, context, hooks),
                          config_.epsilon, type);
  }

  std::vector<RopeTable> tables_at(const HiddenState& hidden) const {
    std::vector<RopeTable> tables;
    for (const RopeFrequencies& frequencies : config_.rotary)
      tables.push_back(rope_table(frequencies, hidden.layout, hidden.stream.device()));
    return tables;
  }

  TensorPair layer(const Place& in, const Place& out, const Hooks& hooks,
                   const std::vector<RopeTable>& tables, const HiddenState& hidden) const {
    const Layer& l = layers_[in.layer];
    const int64_t window = config_.windows[in.layer];
    const int64_t head_dim = config_.hidden / config_.heads;
    const AttentionShape shape{
        config_.heads, config_.heads, head_dim, 1 / std::sqrt(static_cast<double>(head_dim)), false, window};
    const AddNorm first = normed(in.context, hooks, l.attention_norm, hidden.stream, hidden.branch, compute_);
    const at::Tensor qkv = rope(apply(l.qkv, in, hooks, first.normed), tables[window > 0 ? 1 : 0],
                                config_.heads, config_.heads, head_dim);
    const at::Tensor attended = attend(in, hooks, qkv, shape, nullptr);
    const at::Tensor stream = output_rows(first.stream, hidden.layout);
    at::Tensor branch = apply(l.out, out, hooks, output_rows(attended, hidden.layout));
    branch = hooks.branch_end(out, {Role::attention_out, nullptr}, stream, branch);
    const AddNorm second = normed(in.context, hooks, l.mlp_norm, stream, branch, compute_);
    const at::Tensor up = apply(l.up, out, hooks, second.normed);
    branch =
        hooks.branch_end(out, {Role::down, nullptr}, second.stream, apply(l.down, out, hooks, gated(up)));
    return {second.stream, branch};
  }

  /// The MLP's hidden values, from those before the activation and their factors, [T, 2 ff].
  at::Tensor gated(const at::Tensor& up) const {
    switch (config_.activation) {
      case Activation::silu:
        return glu(up, Gate::silu);
      case Activation::gelu:
        return glu(up, Gate::gelu);
      case Activation::gelu_tanh:
        return glu(up, Gate::gelu_tanh);
      default:
        return activated(up.narrow(1, 0, config_.ff), config_.activation) *
               up.narrow(1, config_.ff, config_.ff);
    }
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
  RotaryEncoderConfig config_;
  at::ScalarType compute_;
  Embedding embedding_;
  Norm embedding_norm_, final_norm_;
  std::vector<Layer> layers_;
  std::optional<LabelHead> label_head_;
};

}  // namespace

std::unique_ptr<Model> make_rotary_encoder(std::shared_ptr<const Checkpoint> checkpoint,
                                           const LoadOptions& options, RotaryEncoderConfig config) {
  return std::make_unique<RotaryEncoder>(std::move(checkpoint), options, std::move(config));
}

}  // namespace lowrank
