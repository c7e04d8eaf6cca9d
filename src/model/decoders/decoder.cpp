#include "model/decoders/decoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <ATen/ops/cat.h>

#include "base/error.h"
#include "kernels/operations/glu.h"
#include "kernels/operations/head_norm.h"
#include "kernels/operations/layer_norm.h"
#include "kernels/operations/rms_norm.h"
#include "kernels/operations/rope.h"
#include "model/blocks.h"
#include "model/checkpoint.h"
#include "model/decoders/decoder_layer.h"
#include "model/experts.h"

namespace lowrank {
namespace {

class DecoderModel final : public Model {
 public:
  DecoderModel(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options, DecoderConfig config)
      : checkpoint_(std::move(checkpoint)),
        config_(std::move(config)),
        compute_(options.compute),
        gate_(config_.activation == Activation::silu ? Gate::silu : Gate::gelu_tanh),
        embedding_(table(options, config_.names.embedding, config_.embedding_multiplier)) {
    const DecoderNames& names = config_.names;
    check(!names.gated() || config_.activation == Activation::silu ||
              config_.activation == Activation::gelu_tanh,
          ErrorKind::unsupported, "the family {}: gates are silu or the tanh form of GELU", spec().family);
    if (names.positions) positions_.emplace(table(options, names.positions, 1));
    const DecoderLoader load(*checkpoint_, options, config_);
    final_norm_ = load.norm(std::string(names.prefix), names.final_norm);
    head_ = load_head(*checkpoint_, options, "lm_head");
    head_.softcap = config_.logit_softcap;
    layers_.reserve(config_.layers);
    for (int64_t i = 0; i < config_.layers; ++i) layers_.push_back(load.layer(i));
  }

  const ModelSpec& spec() const override { return checkpoint_->spec(); }
  const Embedding& embedding() const override { return embedding_; }
  const Head& head() const override { return head_; }

  HiddenState forward(const Context& context, const Hooks& hooks, KvCache* cache) const override {
    check_shared(*context.batch);
    check(!cache || !config_.bidirectional, ErrorKind::unsupported,
          "a bidirectional model of the family {} encodes whole texts and does not continue them",
          spec().family);
    HiddenState hidden = embedded(context, hooks, embedding_);
    if (positions_) hidden.stream = hidden.stream + position_rows(context, hooks, hidden.layout);
    std::vector<RopeTable> tables = tables_at(hidden);
    if (cache) hidden.layout.plan = cache->plan(*context.batch);
    for (int64_t i = 0; i < config_.layers; ++i) {
      const int64_t rows = hidden.layout.rows();
      const bool last = i + 1 == config_.layers;
      hidden = run_layer(
          context, hooks, hidden, static_cast<int>(i), last,
          [this, &hooks, tables, cache](const HiddenState& state, const Place& in, const Place& out) {
            return layer({in, out, hooks, tables, cache}, state);
          });
      if (hidden.layout.rows() != rows && !last) tables = tables_at(hidden);
    }
    if (cache) cache->advance(*context.batch);
    return {final_state(context, hooks, hidden), {}, std::move(hidden.layout)};
  }

 private:
  /// What a layer needs to know of the pass.
  struct Pass {
    const Place& in;
    const Place& out;
    const Hooks& hooks;
    const std::vector<RopeTable>& tables;
    KvCache* cache;
  };

  Embedding table(const LoadOptions& options, const PartName& part, double multiplier) const {
    const std::string name = std::string(config_.names.prefix) + std::string(part.name) + ".weight";
    return {checkpoint_, options, *checkpoint_->spec().find_tensor(name), multiplier};
  }

  /// Texts whose rotary frequencies depend on their length cannot continue a shared prefix.
  void check_shared(const Batch& batch) const {
    for (size_t s = 0; s < batch.parents.size(); ++s) {
      if (batch.parents[s] == no_parent) continue;
      check(batch.positions[batch.offsets[s + 1] - 1] < spec().fixed_positions, ErrorKind::invalid,
            "rows of more than {} tokens cannot share a prompt: the model's rotary frequencies depend on a "
            "text's length",
            spec().fixed_positions);
    }
  }

  std::vector<RopeTable> tables_at(const HiddenState& hidden) const {
    std::vector<RopeTable> tables;
    for (const RopeFrequencies& frequencies : config_.rotary)
      tables.push_back(rope_table(frequencies, hidden.layout, hidden.stream.device()));
    return tables;
  }

  at::Tensor position_rows(const Context& context, const Hooks& hooks, const SequenceLayout& layout) const {
    const std::span<const int64_t> ids(layout.positions.const_data_ptr<int64_t>(), layout.positions.numel());
    if (positions_->frozen()) return positions_->look_up(ids);
    return positions_->look_up(ids, hooks.weight(context, positions_->tensor()));
  }

  /// The stream with the branch added, and its norm in the compute type.
  AddNorm entered(const Context& context, const Hooks& hooks, const Norm& norm, const at::Tensor& stream,
                  const at::Tensor& branch) const {
    if (!norm.weight) {
      const at::Tensor sum = branch.defined() ? at::add(stream, branch) : stream;
      return {sum, sum.to(compute_)};
    }
    const at::Tensor weight = weight_of(norm, context, hooks);
    return config_.layer_norm ? add_layer_norm(stream, branch, weight, bias_of(norm, context, hooks),
                                               config_.epsilon, compute_)
                              : add_rms_norm(stream, branch, weight, config_.epsilon, compute_);
  }

  /// What is added to the stream, from the output of a branch that began at the stream `begun`.
  at::Tensor ended(const Pass& pass, Role role, const Norm& norm, const at::Tensor& begun,
                   at::Tensor ended) const {
    const Context& context = pass.in.context;
    if (norm.weight) ended = rms_norm(ended, weight_of(norm, context, pass.hooks), config_.epsilon, compute_);
    if (config_.residual_multiplier != 1) ended = ended * config_.residual_multiplier;
    return pass.hooks.branch_end(pass.out, {role, nullptr}, begun, ended);
  }

  TensorPair layer(const Pass& pass, const HiddenState& hidden) const {
    const auto& [in, out, hooks, tables, cache] = pass;
    const Context& context = in.context;
    const DecoderLayer& l = layers_[in.layer];
    const AddNorm first = entered(context, hooks, l.before_attention, hidden.stream, hidden.branch);
    const int64_t rotary = config_.rotary_of[in.layer];
    at::Tensor branch =
        l.mixer
            ? l.mixer->forward({in, out, hooks, rotary < 0 ? nullptr : &tables[rotary], cache}, first.normed)
            : attention_branch(pass, first.normed);
    const at::Tensor stream = output_rows(first.stream, hidden.layout);
    branch = ended(pass, Role::attention_out, l.after_attention, stream, branch);
    const AddNorm second = entered(context, hooks, l.before_mlp, stream, branch);
    branch = l.experts ? apply(*l.experts, out, hooks, second.normed) : mlp(l, out, hooks, second.normed);
    branch = ended(pass, Role::down, l.after_mlp, second.stream, branch);
    return {second.stream, branch};
  }

  at::Tensor mlp(const DecoderLayer& l, const Place& place, const Hooks& hooks, const at::Tensor& x) const {
    const at::Tensor up = apply(l.up, place, hooks, x);
    return apply(l.down, place, hooks,
                 config_.names.gated() ? glu(up, gate_) : activated(up, config_.activation));
  }

  at::Tensor attention_branch(const Pass& pass, const at::Tensor& x) const {
    const DecoderConfig& c = config_;
    const auto& [in, out, hooks, tables, cache] = pass;
    const Context& context = in.context;
    const DecoderLayer& l = layers_[in.layer];
    const AttentionShape shape{c.heads,          c.kv_heads,          c.head_dim,     c.query_scale,
                               !c.bidirectional, c.windows[in.layer], c.score_softcap};
    at::Tensor qkv = apply(l.qkv, in, hooks, x);
    if (l.query.weight) {
      qkv = heads_normed(qkv, weight_of(l.query, context, hooks), weight_of(l.key, context, hooks));
    }
    if (c.rotary_of[in.layer] >= 0)
      qkv = rope(qkv, tables[c.rotary_of[in.layer]], c.heads, c.kv_heads, c.head_dim);
    const at::Tensor sinks =
        l.sinks && !l.sink_values.defined() ? hooks.weight(context, *l.sinks) : l.sink_values;
    const at::Tensor attended = attend(in, hooks, qkv, shape, cache, sinks);
    return apply(l.out, out, hooks, output_rows(attended, in.layout));
  }

  at::Tensor heads_normed(const at::Tensor& qkv, const at::Tensor& query, const at::Tensor& key) const {
    const DecoderConfig& c = config_;
    if (!c.norm_all_heads) return head_norm(qkv, query, key, c.heads, c.kv_heads, c.epsilon);
    const int64_t q = query.size(0);
    const int64_t k = key.size(0);
    return at::cat({rms_norm(qkv.narrow(1, 0, q), query, c.epsilon, compute_),
                    rms_norm(qkv.narrow(1, q, k), key, c.epsilon, compute_), qkv.narrow(1, q + k, k)},
                   1);
  }

  at::Tensor final_state(const Context& context, const Hooks& hooks, const HiddenState& hidden) const {
    const at::Tensor state = entered(context, hooks, final_norm_, hidden.stream, hidden.branch).normed;
    return config_.logits_multiplier == 1 ? state : state * config_.logits_multiplier;
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
  DecoderConfig config_;
  at::ScalarType compute_;
  Gate gate_;
  Embedding embedding_;
  std::optional<Embedding> positions_;
  Norm final_norm_;
  Head head_;
  std::vector<DecoderLayer> layers_;
};

}  // namespace

std::unique_ptr<Model> make_decoder(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options,
                                    DecoderConfig config) {
  return std::make_unique<DecoderModel>(std::move(checkpoint), options, std::move(config));
}

}  // namespace lowrank
