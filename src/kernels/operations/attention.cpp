#include <numbers>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/exp2.h>
#include <ATen/ops/logaddexp2.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/saved_variable.h>

#include "base/error.h"
#include "kernels/core/device.h"
#include "kernels/core/node.h"
#include "kernels/operations/attention_sinks.h"
#include "kernels/operations/cpu/attention_cpu.h"
#include "kernels/operations/flash_attention.h"

namespace lowrank {
namespace {

using torch::autograd::SavedVariable;

ConstRows rows_of(const at::Tensor& t, int64_t first_column = 0) {
  return {static_cast<const char*>(t.const_data_ptr()) + first_column * t.element_size(), t.stride(0)};
}

MutableRows writable_rows(at::Tensor& t, int64_t first_column = 0) {
  return {static_cast<char*>(t.mutable_data_ptr()) + first_column * t.element_size(), t.stride(0)};
}

/// The rows of a matrix with contiguous columns, copied only when they are not.
at::Tensor with_rows(const at::Tensor& t) {
  return t.stride(1) == 1 || t.size(1) == 1 ? t : t.contiguous();
}

AttentionOperands operands_of(const at::Tensor& qkv, std::span<const KeyValue> extra,
                              const AttentionPlan& plan, const AttentionShape& shape) {
  const int64_t width = shape.heads * shape.head_dim, kv_width = shape.kv_heads * shape.head_dim;
  AttentionOperands operands;
  operands.shape = shape;
  operands.plan = &plan;
  operands.bf16 = qkv.scalar_type() == at::kBFloat16;
  operands.q = rows_of(qkv);
  operands.k = {rows_of(qkv, width)};
  operands.v = {rows_of(qkv, width + kv_width)};
  for (const KeyValue& source : extra) {
    operands.k.push_back(rows_of(source.k));
    operands.v.push_back(rows_of(source.v));
  }
  return operands;
}

/// Zeroes columns [first, first+count) of the rows that no range covers.
void clear_uncovered(at::Tensor& t, std::vector<Range> ranges, int64_t first, int64_t count) {
  for (const Range& gap : uncovered(std::move(ranges), t.size(0)))
    t.narrow(0, gap.begin, gap.size()).narrow(1, first, count).zero_();
}

std::vector<Range> query_ranges(const AttentionPlan& plan) {
  std::vector<Range> ranges;
  for (const QueryRun& run : plan.queries)
    if (run.count > 0) ranges.push_back({run.begin, run.begin + run.count});
  return ranges;
}

std::vector<Range> key_ranges(const BackwardSchedule& schedule, int32_t source) {
  std::vector<Range> ranges;
  for (const QueryChunk& chunk : schedule.chunks)
    for (const KeyPiece& piece : chunk.pieces)
      if (piece.source == source) ranges.push_back({piece.begin, piece.begin + piece.count});
  return ranges;
}

/// Adds the sinks [heads] to the sums in `lse`, and scales `out` accordingly.
void add_sinks(at::Tensor& out, at::Tensor& lse, const at::Tensor& sinks) {
  const at::Tensor with_sink = at::logaddexp2(lse, sinks.to(at::kFloat) * std::numbers::log2e);
  const at::Tensor kept = at::exp2(lse - with_sink).unsqueeze(2);
  at::Tensor heads = out.view({lse.size(0), lse.size(1), out.size(1) / lse.size(1)});
  heads.copy_(heads * kept);
  lse = with_sink;
}

/// The gradient of the sinks: a sink's probability takes from all keys, so it is -sum_t p[t,h]
/// dout[t,h]·out[t,h].
at::Tensor sink_gradient(const at::Tensor& out, const at::Tensor& dout, const at::Tensor& lse,
                         const at::Tensor& sinks) {
  const at::Tensor p = at::exp2(sinks.to(at::kFloat) * std::numbers::log2e - lse);
  const std::vector<int64_t> by_head{lse.size(0), lse.size(1), out.size(1) / lse.size(1)};
  const at::Tensor change = (dout.reshape(by_head).to(at::kFloat) * out.view(by_head)).sum(-1);
  return (p * change).sum(0).neg().to(sinks.scalar_type());
}

/// The gradient of attention; its edges are qkv, then k and v of each extra source, then the sinks.
struct AttentionBackward : Node {
  SavedVariable qkv, out;
  std::vector<SavedVariable> keys, values;
  at::Tensor lse;    // [T, heads] f32, base-2 logarithms
  at::Tensor sinks;  // [heads], undefined without any
  std::shared_ptr<const AttentionPlan> plan;
  AttentionShape shape;

  std::string name() const override { return "AttentionBackward"; }

  void release_variables() override {
    qkv.reset_data();
    out.reset_data();
    for (SavedVariable& saved : keys) saved.reset_data();
    for (SavedVariable& saved : values) saved.reset_data();
    lse.reset();
    sinks.reset();
  }

  GradientList apply(GradientList&& grads) override;
};

GradientList AttentionBackward::apply(GradientList&& grads) {
  check(!at::GradMode::is_enabled(), ErrorKind::unsupported, "attention has no second derivative");
  const size_t sink_edge = 1 + 2 * keys.size();
  GradientList result(sink_edge + 1);
  if (!grads[0].defined()) return result;
  const at::Tensor rows = qkv.unpack(), output = out.unpack(getptr()), dout = with_rows(grads[0]);
  std::vector<KeyValue> extra;
  for (size_t i = 0; i < keys.size(); ++i) extra.push_back({keys[i].unpack(), values[i].unpack()});
  if (sinks.defined() && task_should_compute_output(sink_edge))
    result[sink_edge] = sink_gradient(output, dout, lse, sinks);

  std::vector<bool> wants{task_should_compute_output(0)};
  for (size_t i = 0; i < keys.size(); ++i)
    wants.push_back(task_should_compute_output(1 + 2 * i) || task_should_compute_output(2 + 2 * i));
  const BackwardSchedule schedule = backward_schedule(*plan, shape, backward_block_rows(shape), wants);
  const int64_t width = shape.heads * shape.head_dim, kv_width = shape.kv_heads * shape.head_dim;

  AttentionGradients gradients;
  gradients.out = rows_of(output);
  gradients.dout = rows_of(dout);
  gradients.lse = lse.const_data_ptr<float>();
  gradients.dk.resize(wants.size());
  gradients.dv.resize(wants.size());
  if (wants[0]) {
    at::Tensor dqkv = result[0] = at::empty({rows.size(0), rows.size(1)}, rows.options());
    gradients.dq = writable_rows(dqkv);
    gradients.dk[0] = writable_rows(dqkv, width);
    gradients.dv[0] = writable_rows(dqkv, width + kv_width);
    clear_uncovered(dqkv, query_ranges(*plan), 0, width);
    clear_uncovered(dqkv, key_ranges(schedule, 0), width, 2 * kv_width);
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!wants[1 + i]) continue;
    at::Tensor dk = result[1 + 2 * i] = at::empty({extra[i].k.size(0), kv_width}, rows.options());
    at::Tensor dv = result[2 + 2 * i] = at::empty({extra[i].v.size(0), kv_width}, rows.options());
    gradients.dk[1 + i] = writable_rows(dk);
    gradients.dv[1 + i] = writable_rows(dv);
    clear_uncovered(dk, key_ranges(schedule, static_cast<int32_t>(1 + i)), 0, kv_width);
    clear_uncovered(dv, key_ranges(schedule, static_cast<int32_t>(1 + i)), 0, kv_width);
  }
  attention_backward_cpu(operands_of(rows, extra, *plan, shape), gradients, schedule);
  return result;
}

void check_operands(const at::Tensor& qkv, std::span<const KeyValue> extra, const AttentionPlan& plan,
                    const AttentionShape& shape) {
  const int64_t kv_width = shape.kv_heads * shape.head_dim;
  check(qkv.dim() == 2, ErrorKind::invalid, "attention: qkv must be a matrix");
  check(qkv.size(1) == shape.heads * shape.head_dim + 2 * kv_width, ErrorKind::invalid,
        "attention: qkv has {} columns, {} + 2*{} heads of {} need {}", qkv.size(1), shape.heads,
        shape.kv_heads, shape.head_dim, (shape.heads + 2 * shape.kv_heads) * shape.head_dim);
  std::vector<int64_t> source_rows{qkv.size(0)};
  for (size_t i = 0; i < extra.size(); ++i) {
    const auto& [k, v] = extra[i];
    check(k.dim() == 2 && v.dim() == 2 && k.size(0) == v.size(0) && k.size(1) == kv_width &&
              v.size(1) == kv_width,
          ErrorKind::invalid, "attention: k and v of extra source {} must both be [rows, {}]", i, kv_width);
    check(k.scalar_type() == qkv.scalar_type() && v.scalar_type() == qkv.scalar_type() &&
              k.device() == qkv.device() && v.device() == qkv.device(),
          ErrorKind::invalid, "attention: k and v of extra source {} must be of qkv's type, on its device",
          i);
    source_rows.push_back(k.size(0));
  }
  check_plan(plan, shape, source_rows);
}

bool requires_grad(const at::Tensor& qkv, std::span<const KeyValue> extra) {
  bool any = qkv.requires_grad();
  for (const KeyValue& source : extra) any = any || source.k.requires_grad() || source.v.requires_grad();
  return any && at::GradMode::is_enabled();
}

}  // namespace

at::Tensor attention(const at::Tensor& qkv, std::span<const KeyValue> extra,
                     const std::shared_ptr<const AttentionPlan>& plan, const AttentionShape& shape) {
  return attention_with_sinks(qkv, extra, plan, shape, {});
}

at::Tensor attention_with_sinks(const at::Tensor& qkv, std::span<const KeyValue> extra,
                                const std::shared_ptr<const AttentionPlan>& plan, const AttentionShape& shape,
                                const at::Tensor& sinks) {
  const OpScope scope("attention");
  check_operands(qkv, extra, *plan, shape);
  if (!on_cpu(qkv) && !sinks.defined()) {
    if (std::optional<at::Tensor> out = flash_attention(qkv, extra, *plan, shape)) return *std::move(out);
  }
  if (!on_cpu(qkv) || (qkv.scalar_type() != at::kFloat && qkv.scalar_type() != at::kBFloat16))
    return attention_with_sinks_reference(qkv, extra, plan, shape, sinks);

  const at::Tensor rows = with_rows(qkv);
  std::vector<KeyValue> sources;
  for (const KeyValue& source : extra) sources.push_back({with_rows(source.k), with_rows(source.v)});
  const bool recorded = requires_grad(rows, sources) || needs_gradient(sinks);

  at::Tensor out = at::empty({rows.size(0), shape.heads * shape.head_dim}, rows.options());
  at::Tensor lse;
  if (recorded || sinks.defined())
    lse = at::zeros({rows.size(0), shape.heads}, rows.options().dtype(at::kFloat));
  {
    at::NoGradGuard no_grad;
    clear_uncovered(out, query_ranges(*plan), 0, out.size(1));
    attention_forward_cpu(operands_of(rows, sources, *plan, shape), writable_rows(out),
                          lse.defined() ? lse.mutable_data_ptr<float>() : nullptr);
    if (sinks.defined()) add_sinks(out, lse, sinks);
  }
  if (!recorded) return out;

  GradientList inputs{rows};
  for (const KeyValue& source : sources) inputs.insert(inputs.end(), {source.k, source.v});
  inputs.push_back(sinks);
  const auto node = make_node<AttentionBackward>(inputs);
  for (const KeyValue& source : sources) {
    node->keys.emplace_back(source.k, false);
    node->values.emplace_back(source.v, false);
  }
  node->qkv = SavedVariable(rows, false);
  node->lse = std::move(lse);
  node->sinks = sinks.defined() ? sinks.detach() : sinks;
  node->plan = plan;
  node->shape = shape;
  connect(out, node);
  node->out = SavedVariable(out, true);
  return out;
}

}  // namespace lowrank
