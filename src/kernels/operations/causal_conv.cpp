#include "kernels/operations/causal_conv.h"

#include <cstddef>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/chunk.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "base/error.h"
#include "kernels/core/device.h"
#include "kernels/core/node.h"
#include "kernels/core/parallel.h"
#include "kernels/operations/cpu/causal_conv_cpu.h"

namespace lowrank {

at::Tensor causal_conv_reference(const at::Tensor& x, const at::Tensor& weight, const RowSequences& sequences,
                                 const at::Tensor& before, bool silu) {
  const int64_t taps = weight.size(1), past = taps - 1, channels = x.size(1);
  const at::ScalarType type = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  // The rows, then what stands before each sequence, then a row of zeros.
  const at::Tensor given = before.defined() ? before.reshape({-1, channels})
                                            : at::zeros({sequences.count() * past, channels}, x.options());
  const at::Tensor rows =
      at::cat({x, given.to(x.scalar_type()), at::zeros({1, channels}, x.options())}).to(type);
  const std::vector<int64_t> history = rows_before(sequences, past);
  at::Tensor sum = at::zeros_like(rows.narrow(0, 0, x.size(0)));
  for (int64_t j = 0; j < taps; ++j) {
    std::vector<int64_t> source;
    for (int64_t s = 0; s < sequences.count(); ++s) {
      for (int64_t i = 0; i < sequences.offsets[s + 1] - sequences.offsets[s]; ++i) {
        const int64_t known = i >= j ? sequences.offsets[s] + i - j : history[s * past + j - i - 1];
        source.push_back(known >= 0 ? known : x.size(0) + s * past + past - (j - i));
      }
    }
    sum = sum + rows.index_select(0, indices_for(rows, source)) * weight.select(1, past - j).to(type);
  }
  return (silu ? at::silu(sum) : sum).to(x.scalar_type());
}

at::Tensor gated_causal_conv_reference(const at::Tensor& parts, const at::Tensor& weight,
                                       const RowSequences& sequences, const at::Tensor& before) {
  const at::ScalarType type = parts.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const std::vector<at::Tensor> of = parts.to(type).chunk(3, 1);
  const at::Tensor past = before.defined() ? before.to(type) : before;
  return (of[1] * causal_conv_reference(of[0] * of[2], weight, sequences, past, false))
      .to(parts.scalar_type());
}

namespace {

constexpr int64_t channels_per_piece = 64;

/// The gradient of either convolution: that of x, or of the three parts side by side.
struct CausalConvBackward : Node {
  at::Tensor x, before;
  at::Tensor weight;  ///< [K, C]
  RowSequences sequences;
  std::vector<int64_t> history;
  bool silu = false, gated = false;

  void release_variables() override {
    x.reset();
    before.reset();
  }

  CausalConv operation() const {
    const int64_t channels = weight.size(1);
    const auto* rows = static_cast<const std::byte*>(x.const_data_ptr());
    const int64_t part = channels * static_cast<int64_t>(x.element_size());
    return {gated ? rows + 2 * part : rows,
            gated ? rows : nullptr,
            gated ? rows + part : nullptr,
            weight.const_data_ptr<float>(),
            sequences.offsets.data(),
            history.data(),
            before.defined() ? before.const_data_ptr() : nullptr,
            sequences.count(),
            channels,
            weight.size(0),
            x.stride(0),
            silu,
            x.scalar_type() == at::kBFloat16};
  }

  GradientList apply(GradientList&& gradients) override {
    if (!gradients[0].defined()) return {at::Tensor(), at::Tensor()};
    const at::NoGradGuard no_grad;
    const at::Tensor d_out = gradients[0].contiguous();
    at::Tensor d_x = at::empty(x.sizes(), x.options()), d_weight;
    if (task_should_compute_output(1)) d_weight = at::empty_like(weight);
    const CausalConv op = operation();
    auto* rows = static_cast<std::byte*>(d_x.mutable_data_ptr());
    const int64_t part = op.channels * static_cast<int64_t>(x.element_size());
    const CausalConvGradients to{d_out.const_data_ptr(),
                                 gated ? rows + 2 * part : rows,
                                 gated ? rows : nullptr,
                                 gated ? rows + part : nullptr,
                                 d_weight.defined() ? d_weight.mutable_data_ptr<float>() : nullptr,
                                 x.size(1)};
    parallel_for(0, op.channels, channels_per_piece,
                 [&](int64_t begin, int64_t end) { causal_conv_backward_cpu(op, to, begin, end); });
    return {d_x, d_weight.defined() ? d_weight.t() : d_weight};
  }
};

bool has_kernel(const at::Tensor& x) {
  return on_cpu(x) && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

void check_taps(const at::Tensor& weight) {
  check(weight.size(1) <= most_taps, ErrorKind::invalid, "a convolution over {} rows, at most {} are known",
        weight.size(1), most_taps);
}

at::Tensor convolved(const at::Tensor& x, const at::Tensor& weight, const RowSequences& sequences,
                     const at::Tensor& before, bool silu, bool gated) {
  const NodePointer<CausalConvBackward> node = make_node<CausalConvBackward>(x, weight);
  const bool differentiable = needs_gradient(x, weight);
  const at::NoGradGuard no_grad;
  node->x = x.stride(1) == 1 ? x.detach() : x.detach().contiguous();
  node->weight = weight.detach().t().to(at::kFloat).contiguous();
  node->sequences = sequences;
  node->history = rows_before(sequences, weight.size(1) - 1);
  if (before.defined()) node->before = before.to(x.scalar_type()).contiguous();
  node->silu = silu;
  node->gated = gated;
  at::Tensor out = at::empty({x.size(0), weight.size(0)}, x.options());
  const CausalConv op = node->operation();
  parallel_for(0, op.channels, channels_per_piece, [&](int64_t begin, int64_t end) {
    causal_conv_forward_cpu(op, out.mutable_data_ptr(), begin, end);
  });
  if (differentiable) connect(out, node);
  return out;
}

}  // namespace

at::Tensor causal_conv(const at::Tensor& x, const at::Tensor& weight, const RowSequences& sequences,
                       const at::Tensor& before, bool silu) {
  const OpScope scope("causal_conv");
  check_taps(weight);
  return has_kernel(x) ? convolved(x, weight, sequences, before, silu, false)
                       : causal_conv_reference(x, weight, sequences, before, silu);
}

at::Tensor gated_causal_conv(const at::Tensor& parts, const at::Tensor& weight, const RowSequences& sequences,
                             const at::Tensor& before) {
  const OpScope scope("gated_causal_conv");
  check_taps(weight);
  return has_kernel(parts) ? convolved(parts, weight, sequences, before, false, true)
                           : gated_causal_conv_reference(parts, weight, sequences, before);
}

}  // namespace lowrank
