#include "kernels/operations/delta_rule.h"

#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include "kernels/core/device.h"
#include "kernels/core/node.h"
#include "kernels/core/parallel.h"
#include "kernels/operations/cpu/delta_rule_cpu.h"

namespace lowrank {

at::Tensor delta_rule_reference(const at::Tensor& qkv, const at::Tensor& decay, const at::Tensor& beta,
                                const DeltaRuleShape& shape, const RowSequences& sequences,
                                const at::Tensor& states) {
  const int64_t key_heads = shape.key_heads, value_heads = shape.value_heads;
  const int64_t a = shape.key_dim, b = shape.value_dim;
  const at::ScalarType type = qkv.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto heads = [&](int64_t at, int64_t width, int64_t count) {
    return qkv.narrow(1, at, width * count).to(type).reshape({-1, count, width});
  };
  const auto keys = [&](int64_t at) {
    const at::Tensor x = heads(at, a, key_heads);
    const at::Tensor unit = x * at::rsqrt(at::sum(x * x, 2, true) + 1e-6);
    return unit.repeat_interleave(value_heads / key_heads, 1).unsqueeze(2);  // [T, heads, 1, a]
  };
  const at::Tensor q = keys(0) / std::sqrt(static_cast<double>(a)), k = keys(key_heads * a);
  const at::Tensor v = heads(2 * key_heads * a, b, value_heads).unsqueeze(2);  // [T, heads, 1, b]
  const at::Tensor kept = at::exp(decay.to(type)), strength = beta.to(type);
  std::vector<at::Tensor> out, last;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t parent = sequences.parent(s);
    at::Tensor state = parent >= 0        ? last[parent]
                       : states.defined() ? states[s].to(type, false, true)
                                          : at::zeros({value_heads, a, b}, q.options().requires_grad(false));
    for (int64_t row = sequences.offsets[s]; row < sequences.offsets[s + 1]; ++row) {
      state = state * kept[row].view({-1, 1, 1});
      const at::Tensor error = (v[row] - at::matmul(k[row], state)) * strength[row].view({-1, 1, 1});
      state = state + at::matmul(k[row].transpose(1, 2), error);
      out.push_back(at::matmul(q[row], state).reshape({1, value_heads * b}));
    }
    last.push_back(state);
  }
  for (int64_t s = 0; states.defined() && s < sequences.count(); ++s) states[s].copy_(last[s].detach());
  return out.empty() ? at::zeros({0, value_heads * b}, qkv.options()) : at::cat(out).to(qkv.scalar_type());
}

namespace {

/// Parts of the work for each thread, so that all end at about the same time.
constexpr int64_t parts_per_thread = 4;

/// Calls step(part, its first sequence, key head) for all key heads and sequences, on several threads.
/// Sequences that start from others stay with them.
template <class Step>
void each_part(const DeltaRule& op, Step step) {
  const int64_t wanted = (parts_per_thread * thread_count() + op.key_heads - 1) / op.key_heads;
  const int64_t parts = op.parents ? 1 : std::clamp<int64_t>(wanted, 1, std::max<int64_t>(op.sequences, 1));
  parallel_tasks(parts * op.key_heads, [&](int64_t task) {
    const int64_t part = task / op.key_heads;
    const int64_t first = part * op.sequences / parts, end = (part + 1) * op.sequences / parts;
    step(op.part(first, end), first, task % op.key_heads);
  });
}

struct DeltaRuleBackward : Node {
  at::Tensor qkv, decay, beta, start;
  DeltaRuleShape shape;
  RowSequences sequences;

  void release_variables() override {
    for (at::Tensor* tensor : {&qkv, &decay, &beta, &start}) tensor->reset();
  }

  DeltaRule operation() const {
    return {qkv.const_data_ptr(),
            decay.const_data_ptr<float>(),
            beta.const_data_ptr<float>(),
            start.defined() ? start.const_data_ptr<float>() : nullptr,
            sequences.offsets.data(),
            sequences.parents.empty() ? nullptr : sequences.parents.data(),
            sequences.count(),
            shape.key_heads,
            shape.value_heads,
            shape.key_dim,
            shape.value_dim,
            qkv.scalar_type() == at::kBFloat16};
  }

  GradientList apply(GradientList&& gradients) override {
    if (!gradients[0].defined()) return {at::Tensor(), at::Tensor(), at::Tensor()};
    const at::NoGradGuard no_grad;
    const at::Tensor d_out = gradients[0].contiguous();
    at::Tensor d_qkv = at::empty_like(qkv), d_decay = at::empty_like(decay), d_beta = at::empty_like(beta);
    const DeltaRuleGradients to{d_out.const_data_ptr(), d_qkv.mutable_data_ptr(),
                                d_decay.mutable_data_ptr<float>(), d_beta.mutable_data_ptr<float>()};
    const DeltaRule op = operation();
    each_part(op,
              [&](const DeltaRule& part, int64_t, int64_t head) { delta_rule_backward_cpu(part, head, to); });
    return {d_qkv, d_decay, d_beta};
  }
};

}  // namespace

at::Tensor delta_rule(const at::Tensor& qkv, const at::Tensor& decay, const at::Tensor& beta,
                      const DeltaRuleShape& shape, const RowSequences& sequences, const at::Tensor& states) {
  const OpScope scope("delta_rule");
  const bool known = on_cpu(qkv) && (qkv.scalar_type() == at::kFloat || qkv.scalar_type() == at::kBFloat16);
  if (!known) return delta_rule_reference(qkv, decay, beta, shape, sequences, states);
  const NodePointer<DeltaRuleBackward> node = make_node<DeltaRuleBackward>(qkv, decay, beta);
  const bool differentiable = needs_gradient(qkv, decay, beta);
  const at::NoGradGuard no_grad;
  node->qkv = qkv.detach().contiguous();
  node->decay = decay.detach().to(at::kFloat).contiguous();
  node->beta = beta.detach().to(at::kFloat).contiguous();
  node->shape = shape;
  node->sequences = sequences;
  if (states.defined()) node->start = differentiable ? states.clone() : states;
  at::Tensor out = at::empty({qkv.size(0), shape.value_heads * shape.value_dim}, qkv.options());
  const DeltaRule op = node->operation();
  float* end = states.defined() ? states.mutable_data_ptr<float>() : nullptr;
  const int64_t states_of_sequence = shape.value_heads * shape.key_dim * shape.value_dim;
  each_part(op, [&](const DeltaRule& part, int64_t first, int64_t head) {
    delta_rule_forward_cpu(part, head, out.mutable_data_ptr(),
                           end ? end + first * states_of_sequence : nullptr);
  });
  if (differentiable) connect(out, node);
  return out;
}

}  // namespace lowrank
