#include "model/mixers/gated_delta_net.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/split_with_sizes.h>

#include "base/error.h"
#include "kernels/operations/causal_conv.h"
#include "kernels/operations/gated_norm.h"
#include "model/blocks.h"
#include "model/checkpoint.h"
#include "model/linear.h"
#include "model/mixers/carried_state.h"
#include "model/mixers/layer_tensor.h"

namespace lowrank {
namespace {

class GatedDeltaNet final : public Mixer {
 public:
  GatedDeltaNet(const Checkpoint& checkpoint, const LoadOptions& options, const std::string& layer,
                const GatedDeltaNetSizes& sizes)
      : sizes_(sizes),
        exact_(options.compute == at::kDouble ? at::kDouble : at::kFloat),
        prefix_(layer + "linear_attn."),
        in_(load_linear(
            checkpoint, options,
            {prefix_ + "in_proj_qkv", prefix_ + "in_proj_z", prefix_ + "in_proj_b", prefix_ + "in_proj_a"})),
        out_(load_linear(checkpoint, options, {prefix_ + "out_proj"})),
        weight_(load_layer_tensor(checkpoint, options, prefix_ + "conv1d.weight")),
        decay_(load_layer_tensor(checkpoint, options, prefix_ + "A_log")),
        step_(load_layer_tensor(checkpoint, options, prefix_ + "dt_bias")),
        norm_(load_norm(checkpoint, options, prefix_ + "norm.weight", "", sizes.epsilon)) {}

  at::Tensor forward(const MixerPass& pass, const at::Tensor& x) const override {
    const auto& [context, layout, layer] = pass.in;
    const DeltaRuleShape& heads = sizes_.heads;
    // Split, not narrowed: the backward pass then puts the parts' gradients side by side once.
    const int64_t values = heads.value_heads * heads.value_dim;
    const std::vector<at::Tensor> parts =
        at::split_with_sizes(apply(in_, pass.in, pass.hooks, x),
                             {heads.columns(), values, heads.value_heads, heads.value_heads}, 1);
    const at::Tensor beta = at::sigmoid(parts[2].to(exact_));
    const at::Tensor step = at::softplus(parts[3].to(exact_) + step_.of(context, pass.hooks));
    const at::Tensor decay = -at::exp(decay_.of(context, pass.hooks)) * step;
    const at::Tensor read = output_rows(mixed(pass, parts[0], decay, beta), layout);
    const at::Tensor normed = gated_norm(read, output_rows(parts[1], layout),
                                         weight_of(norm_, context, pass.hooks), sizes_.epsilon);
    return apply(out_, pass.out, pass.hooks, normed);
  }

 private:
  /// The convolution and the delta rule, [T, value_heads * value_dim].
  at::Tensor mixed(const MixerPass& pass, const at::Tensor& qkv, const at::Tensor& decay,
                   const at::Tensor& beta) const {
    const RowSequences sequences = row_sequences(pass.in);
    const DeltaRuleShape& heads = sizes_.heads;
    const at::Tensor weight = weight_.of(pass.in.context, pass.hooks);
    if (!pass.cache) {
      return delta_rule(causal_conv(qkv, weight, sequences, {}, true), decay, beta, heads, sequences, {});
    }
    CarriedState rows(*pass.cache, pass.in, 0, {sizes_.taps - 1, heads.columns()}, qkv.options());
    CarriedState rule(*pass.cache, pass.in, 1, {heads.value_heads, heads.key_dim, heads.value_dim},
                      qkv.options().dtype(exact_));
    const at::Tensor before = rows.begin(), states = rule.begin();
    rows.end(last_rows(before, qkv, sequences));
    at::Tensor out =
        delta_rule(causal_conv(qkv, weight, sequences, before, true), decay, beta, heads, sequences, states);
    rule.end(states);
    return out;
  }

  GatedDeltaNetSizes sizes_;
  at::ScalarType exact_;
  std::string prefix_;
  Linear in_, out_;
  LayerTensor weight_, decay_, step_;
  Norm norm_;
};

/// Adds the parts of a layer.
class Description {
 public:
  Description(ModelSpec& spec, int layer, const std::string& prefix, const DeltaRuleShape& heads)
      : spec_(spec),
        layer_(layer),
        prefix_(prefix + "linear_attn."),
        gguf_prefix_(fmt::format("blk.{}.", layer)),
        shared_(heads.value_heads / heads.key_heads),
        groups_(shared_ > 1 ? heads.key_heads : 0) {}

  /// A linear module; its value heads begin with row `first`, or are its columns.
  void linear(const char* name, const char* gguf_name, Role role, int64_t out, int64_t in, int64_t first = 0,
              bool columns = false) {
    spec_.modules.push_back({prefix_ + name, layer_, role, in, out});
    TensorRef& tensor =
        add(std::string(name) + ".weight", std::string(gguf_name) + ".weight", {out, in}, role);
    tensor.gguf_heads = {groups_, shared_, first, columns};
  }
  /// A tensor whose rows are value heads from row `first` on.
  TensorRef& values(const char* name, const char* gguf_name, std::vector<int64_t> shape, int64_t first = 0) {
    TensorRef& tensor = add(name, gguf_name, std::move(shape), Role::recurrence);
    tensor.gguf_heads = {groups_, shared_, first, false};
    return tensor;
  }
  TensorRef& add(const std::string& name, const std::string& gguf_name, std::vector<int64_t> shape,
                 Role role) {
    return spec_.tensors.emplace_back(
        TensorRef{prefix_ + name, gguf_prefix_ + gguf_name, std::move(shape), layer_, role});
  }

 private:
  ModelSpec& spec_;
  int layer_;
  std::string prefix_, gguf_prefix_;
  int64_t shared_, groups_;
};

void describe(ModelSpec& spec, int layer, const std::string& prefix, const GatedDeltaNetSizes& sizes) {
  const DeltaRuleShape& heads = sizes.heads;
  const int64_t keys = 2 * heads.key_heads * heads.key_dim, values = heads.value_heads * heads.value_dim;
  Description parts(spec, layer, prefix, heads);
  parts.linear("in_proj_qkv", "attn_qkv", Role::mixer_in, keys + values, sizes.hidden, keys);
  parts.linear("in_proj_z", "attn_gate", Role::mixer_in, values, sizes.hidden);
  parts.linear("in_proj_b", "ssm_beta", Role::mixer_in, heads.value_heads, sizes.hidden);
  parts.linear("in_proj_a", "ssm_alpha", Role::mixer_in, heads.value_heads, sizes.hidden);
  parts.values("conv1d.weight", "ssm_conv1d.weight", {keys + values, sizes.taps}, keys).depthwise = true;
  parts.values("A_log", "ssm_a", {heads.value_heads}).gguf_negative_exp = true;
  parts.values("dt_bias", "ssm_dt.bias", {heads.value_heads});
  parts.add("norm.weight", "ssm_norm.weight", {heads.value_dim}, Role::norm);
  parts.linear("out_proj", "ssm_out", Role::attention_out, sizes.hidden, values, 0, true);
}

}  // namespace

MixerKind gated_delta_net(const GatedDeltaNetSizes& sizes) {
  return {
      [=](ModelSpec& spec, int layer, const std::string& prefix) { describe(spec, layer, prefix, sizes); },
      [=](const Checkpoint& checkpoint, const LoadOptions& options, const std::string& prefix) {
        return std::make_unique<GatedDeltaNet>(checkpoint, options, prefix, sizes);
      }};
}

}  // namespace lowrank
