#include "model/mixers/short_convolution.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/chunk.h>

#include "base/error.h"
#include "kernels/operations/causal_conv.h"
#include "model/blocks.h"
#include "model/checkpoint.h"
#include "model/linear.h"
#include "model/mixers/carried_state.h"
#include "model/mixers/layer_tensor.h"

namespace lowrank {
namespace {

class ShortConvolution final : public Mixer {
 public:
  ShortConvolution(const Checkpoint& checkpoint, const LoadOptions& options, const std::string& prefix,
                   bool bias)
      : in_(load_linear(checkpoint, options, {prefix + "conv.in_proj"})),
        out_(load_linear(checkpoint, options, {prefix + "conv.out_proj"})),
        weight_(load_layer_tensor(checkpoint, options, prefix + "conv.conv.weight")) {
    if (bias) bias_ = load_layer_tensor(checkpoint, options, prefix + "conv.conv.bias");
  }

  at::Tensor forward(const MixerPass& pass, const at::Tensor& x) const override {
    const Place& in = pass.in;
    const at::Tensor parts = apply(in_, in, pass.hooks, x);
    if (!bias_.tensor)
      return apply(out_, pass.out, pass.hooks, output_rows(convolved(pass, parts), in.layout));
    const std::vector<at::Tensor> of = parts.chunk(3, 1);
    const at::Tensor bias = bias_.of(in.context, pass.hooks).to(parts.scalar_type());
    const at::Tensor mixed = output_rows(convolved(pass, of[0] * of[2], false), in.layout) + bias;
    return apply(out_, pass.out, pass.hooks, output_rows(of[1], in.layout) * mixed);
  }

 private:
  /// The convolution of the parts b | c | u with its gates, or, of `rows`, without.
  at::Tensor convolved(const MixerPass& pass, const at::Tensor& rows, bool gated = true) const {
    const RowSequences sequences = row_sequences(pass.in);
    const at::Tensor weight = weight_.of(pass.in.context, pass.hooks);
    const auto convolve = [&](const at::Tensor& before) {
      return gated ? gated_causal_conv(rows, weight, sequences, before)
                   : causal_conv(rows, weight, sequences, before, false);
    };
    if (!pass.cache) return convolve({});
    const int64_t width = weight.size(0);
    const at::Tensor products = gated ? rows.narrow(1, 0, width) * rows.narrow(1, 2 * width, width) : rows;
    CarriedState state(*pass.cache, pass.in, 0, {weight.size(1) - 1, width}, rows.options());
    const at::Tensor before = state.begin();
    state.end(last_rows(before, products, sequences));
    return convolve(before);
  }

  Linear in_, out_;
  LayerTensor weight_, bias_;
};

void describe(ModelSpec& spec, int layer, const std::string& prefix, int64_t hidden, int64_t taps,
              bool bias) {
  const std::string gguf_prefix = fmt::format("blk.{}.shortconv.", layer);
  const auto add = [&](const std::string& part, Role role, std::vector<int64_t> shape) {
    const std::string name = prefix + "conv." + part, gguf_name = gguf_prefix + part;
    if (role != Role::recurrence) spec.modules.push_back({name, layer, role, shape[1], shape[0]});
    const int64_t rows = shape[0];
    TensorRef weight{name + ".weight", gguf_name + ".weight", std::move(shape), layer, role};
    weight.depthwise = role == Role::recurrence;
    spec.tensors.push_back(std::move(weight));
    if (bias) spec.tensors.push_back({name + ".bias", gguf_name + ".bias", {rows}, layer, role});
  };
  add("in_proj", Role::mixer_in, {3 * hidden, hidden});
  add("conv", Role::recurrence, {hidden, taps});
  add("out_proj", Role::attention_out, {hidden, hidden});
}

}  // namespace

MixerKind short_convolution(int64_t hidden, int64_t taps, bool bias) {
  return {[=](ModelSpec& spec, int layer, const std::string& prefix) {
            describe(spec, layer, prefix, hidden, taps, bias);
          },
          [=](const Checkpoint& checkpoint, const LoadOptions& options, const std::string& prefix) {
            return std::make_unique<ShortConvolution>(checkpoint, options, prefix, bias);
          }};
}

}  // namespace lowrank
