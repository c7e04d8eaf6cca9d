#include "kernels/operations/delta_rule.h"

#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/linalg_solve_triangular.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include "kernels/core/device.h"
#include "kernels/core/node.h"
#include "kernels/core/parallel.h"
#include "kernels/operations/cpu/delta_rule_cpu.h"

namespace lowrank {

namespace {

/// The operands of each row, in the type of the sums, with heads first: q, k [heads, T, key_dim], normalised;
/// v [heads, T, value_dim]; decay, beta [heads, T].
struct HeadRows {
  at::Tensor q, k, v, decay, beta;

  HeadRows(const at::Tensor& qkv, const at::Tensor& log_decay, const at::Tensor& strength,
           const DeltaRuleShape& shape) {
    const int64_t width = shape.key_heads * shape.key_dim;
    const at::ScalarType type = qkv.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    const auto heads = [&](int64_t at, int64_t columns, int64_t count) {
      return qkv.narrow(1, at, columns * count).to(type).reshape({-1, count, columns}).transpose(0, 1);
    };
    const auto keys = [&](int64_t at) {
      const at::Tensor x = heads(at, shape.key_dim, shape.key_heads);
      const at::Tensor unit = x * at::rsqrt(at::sum(x * x, 2, true) + 1e-6);
      return unit.repeat_interleave(shape.value_heads / shape.key_heads, 0);
    };
    q = keys(0) / std::sqrt(static_cast<double>(shape.key_dim));
    k = keys(width);
    v = heads(2 * width, shape.value_dim, shape.value_heads);
    decay = log_decay.to(type).t();
    beta = strength.to(type).t();
  }

  HeadRows(const HeadRows& all, int64_t begin, int64_t count)
      : q(all.q.narrow(1, begin, count)),
        k(all.k.narrow(1, begin, count)),
        v(all.v.narrow(1, begin, count)),
        decay(all.decay.narrow(1, begin, count)),
        beta(all.beta.narrow(1, begin, count)) {}

  int64_t count() const { return k.size(1); }
};

/// Outputs [heads, T, value_dim] and the state behind the last row, [heads, key_dim, value_dim].
struct RowsAndState {
  at::Tensor out, state;
};

RowsAndState row_by_row(const HeadRows& rows, at::Tensor state) {
  std::vector<at::Tensor> out;
  for (int64_t row = 0; row < rows.count(); ++row) {
    const auto of = [&](const at::Tensor& all) { return all.narrow(1, row, 1); };
    state = state * at::exp(of(rows.decay)).unsqueeze(2);
    const at::Tensor error = (of(rows.v) - at::matmul(of(rows.k), state)) * of(rows.beta).unsqueeze(2);
    state = state + at::matmul(of(rows.k).transpose(1, 2), error);
    out.push_back(at::matmul(of(rows.q), state));
  }
  return {at::cat(out, 1), state};
}

constexpr int64_t chunk_rows = 64;

/// Chunks of `size` rows each. With G the sums of a chunk's decays up to each row, S its first state,
/// L = exp(G_i - G_j) k_i k_j for j < i and M = exp(G_i - G_j) q_i k_j for j <= i:
///   (I + beta L) E = beta (V - exp(G) K S);  O = exp(G) Q S + M E;  S' = exp(G_n) S + K^T exp(G_n - G) E
/// (Yang et al. 2024, section 3.3). All but S is computed for all chunks at once.
RowsAndState in_chunks(const HeadRows& rows, at::Tensor state, int64_t size) {
  const auto chunks = [&](const at::Tensor& all) { return all.unflatten(1, {-1, size}); };
  const at::Tensor q = chunks(rows.q), k = chunks(rows.k), turned = k.transpose(2, 3);
  const at::Tensor beta = chunks(rows.beta).unsqueeze(3);
  const at::Tensor sums = chunks(rows.decay).cumsum(2);
  const at::Tensor total = sums.narrow(2, size - 1, 1);
  // Above the diagonal the difference is positive, and its exponential may be infinite.
  const at::Tensor decays = at::exp((sums.unsqueeze(3) - sums.unsqueeze(2)).tril()).tril();
  const at::Tensor solved = at::linalg_solve_triangular(
      (beta * (at::matmul(k, turned) * decays)).tril(-1),
      beta * at::cat({chunks(rows.v), at::exp(sums).unsqueeze(3) * k}, 3), /*upper=*/false, /*left=*/true,
      /*unitriangular=*/true);
  const at::Tensor values = solved.narrow(3, 0, rows.v.size(2));
  const at::Tensor from_state = solved.narrow(3, rows.v.size(2), k.size(3));
  const at::Tensor scores = at::matmul(q, turned) * decays, decayed_q = q * at::exp(sums).unsqueeze(3);
  const at::Tensor kept = (k * at::exp(total - sums).unsqueeze(3)).transpose(2, 3);
  const at::Tensor last = at::exp(total).unsqueeze(3);
  std::vector<at::Tensor> out;
  for (int64_t c = 0; c < k.size(1); ++c) {
    const at::Tensor error = values.select(1, c) - at::matmul(from_state.select(1, c), state);
    out.push_back(at::matmul(decayed_q.select(1, c), state) + at::matmul(scores.select(1, c), error));
    state = state * last.select(1, c) + at::matmul(kept.select(1, c), error);
  }
  return {at::cat(out, 1), state};
}

RowsAndState chunk_by_chunk(const HeadRows& rows, const at::Tensor& state) {
  const int64_t rest = rows.count() % chunk_rows, whole = rows.count() - rest;
  if (rest == 0) return in_chunks(rows, state, chunk_rows);
  if (whole == 0) return in_chunks(rows, state, rest);
  const RowsAndState first = in_chunks(HeadRows(rows, 0, whole), state, chunk_rows);
  const RowsAndState last = in_chunks(HeadRows(rows, whole, rest), first.state, rest);
  return {at::cat({first.out, last.out}, 1), last.state};
}

/// The rule from differentiable operations, with all sequences' rows computed by `compute`.
template <class Compute>
at::Tensor by_sequences(const at::Tensor& qkv, const HeadRows& rows, const DeltaRuleShape& shape,
                        const RowSequences& sequences, const at::Tensor& states, const Compute& compute) {
  std::vector<at::Tensor> out, last;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t parent = sequences.parent(s), begin = sequences.offsets[s];
    const int64_t count = sequences.offsets[s + 1] - begin;
    at::Tensor state = parent >= 0        ? last[parent]
                       : states.defined() ? states[s].to(rows.q.scalar_type(), false, true)
                                          : at::zeros({shape.value_heads, shape.key_dim, shape.value_dim},
                                                      rows.q.options().requires_grad(false));
    if (count > 0) {
      const RowsAndState computed = compute(HeadRows(rows, begin, count), state);
      out.push_back(computed.out);
      state = computed.state;
    }
    last.push_back(state);
  }
  for (int64_t s = 0; states.defined() && s < sequences.count(); ++s) states[s].copy_(last[s].detach());
  const int64_t columns = shape.value_heads * shape.value_dim;
  if (out.empty()) return at::zeros({0, columns}, qkv.options());
  return at::cat(out, 1).transpose(0, 1).reshape({-1, columns}).to(qkv.scalar_type());
}

}  // namespace

at::Tensor delta_rule_reference(const at::Tensor& qkv, const at::Tensor& decay, const at::Tensor& beta,
                                const DeltaRuleShape& shape, const RowSequences& sequences,
                                const at::Tensor& states) {
  return by_sequences(qkv, HeadRows(qkv, decay, beta, shape), shape, sequences, states, row_by_row);
}

at::Tensor delta_rule_in_chunks(const at::Tensor& qkv, const at::Tensor& decay, const at::Tensor& beta,
                                const DeltaRuleShape& shape, const RowSequences& sequences,
                                const at::Tensor& states) {
  return by_sequences(qkv, HeadRows(qkv, decay, beta, shape), shape, sequences, states, chunk_by_chunk);
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
  if (!on_cpu(qkv)) return delta_rule_in_chunks(qkv, decay, beta, shape, sequences, states);
  if (qkv.scalar_type() == at::kDouble)
    return delta_rule_reference(qkv, decay, beta, shape, sequences, states);
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
