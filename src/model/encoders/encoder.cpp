#include "model/encoders/encoder.h"

#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/tanh.h>

#include "base/error.h"
#include "kernels/operations/layer_norm.h"
#include "model/blocks.h"
#include "model/checkpoint.h"

namespace lowrank {
namespace {

struct Layer {
  Linear qkv, out, up, down;
  Norm attention_norm, mlp_norm;
};

/// The label head; absent for other tasks.
struct LabelHead {
  Linear dense, out;
};

class Encoder final : public Model {
 public:
  Encoder(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options, EncoderConfig config)
      : checkpoint_(std::move(checkpoint)),
        config_(std::move(config)),
        compute_(options.compute),
        embedding_(table(options, "word_embeddings")),
        positions_(table(options, "position_embeddings")),
        types_(table(options, "token_type_embeddings")),
        norm_(norm(options, config_.prefix + "embeddings.LayerNorm")) {
    for (int64_t i = 0; i < config_.layers; ++i) {
      const std::string p = fmt::format("{}encoder.layer.{}.", config_.prefix, i);
      const auto linear = [&](const std::string& name) {
        return load_linear(*checkpoint_, options, {p + name});
      };
      const std::string self = p + "attention.self.";
      layers_.push_back({load_linear(*checkpoint_, options, {self + "query", self + "key", self + "value"}),
                         linear("attention.output.dense"), linear("intermediate.dense"),
                         linear("output.dense"), norm(options, p + "attention.output.LayerNorm"),
                         norm(options, p + "output.LayerNorm")});
    }
    if (!spec().labels) return;
    LoadOptions exact = options;
    exact.nf4 = false;
    label_head_ = {load_linear(*checkpoint_, options, {config_.head_dense}),
                   load_linear(*checkpoint_, exact, {config_.head_out})};
  }

  const ModelSpec& spec() const override { return checkpoint_->spec(); }
  const Embedding& embedding() const override { return embedding_; }

  HiddenState forward(const Context& context, const Hooks& hooks, KvCache* cache) const override {
    check(!cache, ErrorKind::unsupported, "the family {} encodes whole texts and does not continue them",
          spec().family);
    HiddenState hidden = embedded(context, hooks, embedding_);
    hidden.stream = normed(hidden.stream + placed(context, hooks, hidden.layout), {}, norm_, context, hooks);
    for (int64_t i = 0; i < config_.layers; ++i) {
      const bool last = i + 1 == config_.layers;
      hidden = run_layer(context, hooks, hidden, static_cast<int>(i), last,
                         [this, &hooks](const HiddenState& state, const Place& in, const Place& out) {
                           return layer(in, out, hooks, state);
                         });
      hidden = {hidden.sum(), {}, std::move(hidden.layout)};
    }
    return hidden;
  }

  at::Tensor label_scores(const Context& context, const Hooks& hooks,
                          const at::Tensor& first_rows) const override {
    if (!label_head_) return Model::label_scores(context, hooks, first_rows);
    const SequenceLayout layout = layout_of_rows(*context.batch, first_rows_of(*context.batch));
    const Place place{context, layout};
    const at::Tensor dense = at::tanh(apply(label_head_->dense, place, hooks, first_rows.to(compute_)));
    return apply(label_head_->out, place, hooks, dense).to(first_rows.scalar_type());
  }

 private:
  Embedding table(const LoadOptions& options, const std::string& name) const {
    const std::string full = config_.prefix + "embeddings." + name + ".weight";
    return {checkpoint_, options, *checkpoint_->spec().find_tensor(full)};
  }
  Norm norm(const LoadOptions& options, const std::string& name) const {
    return load_norm(*checkpoint_, options, name + ".weight", name + ".bias", config_.epsilon);
  }

  at::Tensor normed(const at::Tensor& stream, const at::Tensor& branch, const Norm& norm,
                    const Context& context, const Hooks& hooks) const {
    return add_layer_norm(stream, branch, weight_of(norm, context, hooks), bias_of(norm, context, hooks),
                          config_.epsilon, stream.scalar_type())
        .normed;
  }

  static at::Tensor rows_of(const Embedding& table, std::span<const int64_t> ids, const Context& context,
                            const Hooks& hooks) {
    return table.frozen() ? table.look_up(ids) : table.look_up(ids, hooks.weight(context, table.tensor()));
  }

  /// The token type of each row; one for all if all have the first, as all do in models with only one.
  std::vector<int64_t> types_of(const Batch& batch, const SequenceLayout& layout) const {
    std::vector<int64_t> types(1);
    if (config_.token_types < 2 ||
        std::ranges::count(batch.type_one_tokens, 0) == std::ssize(batch.type_one_tokens))
      return types;
    types.resize(layout.rows());
    for (int64_t s = 0; s < batch.sequences(); ++s) {
      const int64_t end = batch.offsets[s + 1];
      std::fill(types.begin() + end - batch.type_one_tokens[s], types.begin() + end, 1);
    }
    return types;
  }

  /// What is added to the rows of the tokens: the rows of their positions and of their types.
  at::Tensor placed(const Context& context, const Hooks& hooks, const SequenceLayout& layout) const {
    const std::span<const int64_t> positions(layout.positions.const_data_ptr<int64_t>(),
                                             layout.positions.numel());
    std::vector<int64_t> ids(positions.begin(), positions.end());
    for (int64_t& id : ids) id += config_.first_position;
    return rows_of(positions_, ids, context, hooks) +
           rows_of(types_, types_of(*context.batch, layout), context, hooks);
  }

  TensorPair layer(const Place& in, const Place& out, const Hooks& hooks, const HiddenState& hidden) const {
    const Layer& l = layers_[in.layer];
    const Context& context = in.context;
    const int64_t head_dim = config_.hidden / config_.heads;
    const AttentionShape shape{
        config_.heads, config_.heads, head_dim, 1 / std::sqrt(static_cast<double>(head_dim)), false, 0};
    const at::Tensor qkv = apply(l.qkv, in, hooks, hidden.stream.to(compute_));
    const at::Tensor attended = attend(in, hooks, qkv, shape, nullptr);
    const at::Tensor stream = output_rows(hidden.stream, hidden.layout);
    at::Tensor branch = apply(l.out, out, hooks, output_rows(attended, hidden.layout));
    branch = hooks.branch_end(out, {Role::attention_out, &l.attention_norm}, stream, branch);
    const at::Tensor middle = normed(stream, branch, l.attention_norm, context, hooks);
    branch = apply(l.down, out, hooks,
                   activated(apply(l.up, out, hooks, middle.to(compute_)), config_.activation));
    branch = hooks.branch_end(out, {Role::down, &l.mlp_norm}, middle, branch);
    return {normed(middle, branch, l.mlp_norm, context, hooks), {}};
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
  EncoderConfig config_;
  at::ScalarType compute_;
  Embedding embedding_, positions_, types_;
  Norm norm_;
  std::vector<Layer> layers_;
  std::optional<LabelHead> label_head_;
};

}  // namespace

std::unique_ptr<Model> make_encoder(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options,
                                    EncoderConfig config) {
  return std::make_unique<Encoder>(std::move(checkpoint), options, std::move(config));
}

}  // namespace lowrank
