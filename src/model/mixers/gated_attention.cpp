#include "model/mixers/gated_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/split_with_sizes.h>

#include "base/error.h"
#include "kernels/operations/head_norm.h"
#include "kernels/operations/rope.h"
#include "model/blocks.h"
#include "model/checkpoint.h"
#include "model/linear.h"

namespace lowrank {
namespace {

/// What the mixer needs of a DecoderConfig.
struct Sizes {
  int64_t hidden, heads, kv_heads, head_dim;
  double query_scale, epsilon, norm_offset;
  bool bias;
};

class GatedAttention final : public Mixer {
 public:
  GatedAttention(const Checkpoint& checkpoint, const LoadOptions& options, const std::string& layer,
                 const Sizes& sizes)
      : sizes_(sizes),
        prefix_(layer + "self_attn."),
        in_(load_linear(checkpoint, options, {prefix_ + "q_proj", prefix_ + "k_proj", prefix_ + "v_proj"})),
        out_(load_linear(checkpoint, options, {prefix_ + "o_proj"})),
        query_(
            load_norm(checkpoint, options, prefix_ + "q_norm.weight", "", sizes.epsilon, sizes.norm_offset)),
        key_(load_norm(checkpoint, options, prefix_ + "k_norm.weight", "", sizes.epsilon,
                       sizes.norm_offset)) {}

  at::Tensor forward(const MixerPass& pass, const at::Tensor& x) const override {
    const auto& [hidden, heads, kv_heads, head_dim, scale, epsilon, offset, bias] = sizes_;
    const Context& context = pass.in.context;
    const int64_t rows = x.size(0), width = heads * head_dim;
    // Split and unbound: the backward pass then puts the parts' gradients side by side once.
    const std::vector<at::Tensor> parts =
        at::split_with_sizes(apply(in_, pass.in, pass.hooks, x), {2 * width, 2 * kv_heads * head_dim}, 1);
    const std::vector<at::Tensor> both = parts[0].view({rows, heads, 2, head_dim}).unbind(2);
    at::Tensor qkv = at::cat({both[0].reshape({rows, width}), parts[1]}, 1);
    qkv = head_norm(qkv, weight_of(query_, context, pass.hooks), weight_of(key_, context, pass.hooks), heads,
                    kv_heads, epsilon);
    if (pass.rotary) qkv = rope(qkv, *pass.rotary, heads, kv_heads, head_dim);
    const AttentionShape shape{heads, kv_heads, head_dim, scale, true, 0};
    const at::Tensor attended = attend(pass.in, pass.hooks, qkv, shape, pass.cache);
    const at::Tensor gate = at::sigmoid(both[1].reshape({rows, width}));
    return apply(out_, pass.out, pass.hooks, output_rows(attended * gate, pass.in.layout));
  }

 private:
  Sizes sizes_;
  std::string prefix_;
  Linear in_, out_;
  Norm query_, key_;
};

void describe(ModelSpec& spec, int layer, const std::string& prefix, const Sizes& s) {
  const std::string gguf_prefix = fmt::format("blk.{}.", layer);
  const auto linear = [&](const char* part, const char* gguf_part, Role role, int64_t out, int64_t in) {
    const std::string name = prefix + "self_attn." + part, gguf_name = gguf_prefix + gguf_part;
    spec.modules.push_back({name, layer, role, in, out});
    spec.tensors.push_back({name + ".weight", gguf_name + ".weight", {out, in}, layer, role});
    if (s.bias) spec.tensors.push_back({name + ".bias", gguf_name + ".bias", {out}, layer, role});
  };
  const auto norm = [&](const char* part, const char* gguf_part) {
    TensorRef tensor{prefix + "self_attn." + part + ".weight",
                     gguf_prefix + gguf_part + ".weight",
                     {s.head_dim},
                     layer,
                     Role::norm};
    tensor.gguf_offset = s.norm_offset;
    spec.tensors.push_back(std::move(tensor));
  };
  const int64_t width = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
  linear("q_proj", "attn_q", Role::query, 2 * width, s.hidden);
  linear("k_proj", "attn_k", Role::key, kv, s.hidden);
  linear("v_proj", "attn_v", Role::value, kv, s.hidden);
  linear("o_proj", "attn_output", Role::attention_out, s.hidden, width);
  norm("q_norm", "attn_q_norm");
  norm("k_norm", "attn_k_norm");
}

}  // namespace

MixerKind gated_attention(const DecoderConfig& c) {
  const Sizes sizes{c.hidden,      c.heads,   c.kv_heads,    c.head_dim,
                    c.query_scale, c.epsilon, c.norm_offset, c.qkv_bias};
  MixerKind kind{
      [=](ModelSpec& spec, int layer, const std::string& prefix) { describe(spec, layer, prefix, sizes); },
      [=](const Checkpoint& checkpoint, const LoadOptions& options, const std::string& prefix) {
        return std::make_unique<GatedAttention>(checkpoint, options, prefix, sizes);
      }};
  kind.recurrent = false;
  return kind;
}

}  // namespace lowrank
