#include "seam/post_norm_encoder.h"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "kernels/operations/attention.h"

namespace lowrank::test {
namespace {

constexpr int64_t hidden = 16;
constexpr int64_t heads = 2;
constexpr int64_t vocabulary = 32;

at::Tensor random(int64_t out, int64_t in, at::ScalarType type) {
  return at::randn({out, in}, type) / std::sqrt(static_cast<double>(in));
}

}  // namespace

PostNormEncoder::PostNormEncoder(at::ScalarType type) : table_(at::randn({vocabulary, hidden}, type)) {
  spec_.layers = 2;
  spec_.hidden_size = hidden;
  spec_.vocabulary_size = vocabulary;
  for (int64_t i = 0; i < spec_.layers; ++i) {
    Norm norm;
    norm.weight_value = at::ones({hidden}, type) + at::randn({hidden}, type) * 0.1;
    norm.bias_value = at::zeros({hidden}, type);
    norm.epsilon = 1e-6;
    layers_.push_back({random(3 * hidden, hidden, type), random(hidden, hidden, type),
                       random(2 * hidden, hidden, type), random(hidden, 2 * hidden, type), norm, norm});
  }
}

at::Tensor apply_norm(const Norm& norm, const Context& context, const Hooks& hooks, const at::Tensor& x) {
  return at::layer_norm(x, {x.size(1)}, weight_of(norm, context, hooks), bias_of(norm, context, hooks),
                        norm.epsilon);
}

at::Tensor PostNormEncoder::forward(const Context& context, const Hooks& hooks) const {
  at::Tensor h = table_.index_select(0, at::tensor(context.batch->tokens, at::kLong));
  const SequenceLayout layout = sequence_layout(*context.batch);
  constexpr int64_t head_dim = hidden / heads;
  const AttentionShape shape{heads, heads, head_dim, 1 / std::sqrt(static_cast<double>(head_dim)), false};
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    at::Tensor branch = at::mm(attention(at::mm(h, layer.qkv.t()), {}, layout.plan, shape), layer.out.t());
    const Place place{context, layout, static_cast<int>(i)};
    branch = hooks.branch_end(place, {Role::attention_out, &layer.attention_norm}, h, branch);
    h = apply_norm(layer.attention_norm, context, hooks, h + branch);
    branch = at::mm(at::gelu(at::mm(h, layer.up.t())), layer.down.t());
    branch = hooks.branch_end(place, {Role::down, &layer.mlp_norm}, h, branch);
    h = apply_norm(layer.mlp_norm, context, hooks, h + branch);
  }
  return h;
}

}  // namespace lowrank::test
