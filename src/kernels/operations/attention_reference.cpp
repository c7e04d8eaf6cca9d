#include <algorithm>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "kernels/core/device.h"
#include "kernels/operations/attention_sinks.h"

namespace lowrank {
namespace {

struct Sources {
  std::vector<at::Tensor> k, v;  // [rows, kv_heads*head_dim] each
};

/// [queries, keys]: true where the query must not see the key.
at::Tensor hidden_keys(const QueryRun& run, const AttentionPlan& plan, const AttentionShape& shape,
                       at::Device device) {
  const auto positions = [&](int64_t first, int64_t count) {
    return at::arange(first, first + count, at::device(device).dtype(at::kLong));
  };
  const at::Tensor queries = positions(run.first_position, run.count).unsqueeze(1);
  std::vector<at::Tensor> columns;
  for (int64_t i = run.first_key_run; i < run.first_key_run + run.key_runs; ++i) {
    const KeyRun& keys = plan.keys[i];
    const at::Tensor ahead = positions(keys.first_position, keys.count).unsqueeze(0) - queries;
    at::Tensor hidden = shape.causal ? ahead > 0 : at::zeros_like(ahead, at::kBool);
    if (shape.window > 0) hidden = hidden | (ahead.abs() >= shape.window);
    columns.push_back(hidden);
  }
  return at::cat(columns, 1);
}

/// True if libtorch's own attention computes what the plan says of a run: each query sees the keys at its own
/// run's positions up to its own, or a single query sees all of its keys.
bool fits_library(const QueryRun& run, const AttentionPlan& plan, const AttentionShape& shape) {
  if (shape.softcap > 0) return false;
  const std::span keys(plan.keys.data() + run.first_key_run, static_cast<size_t>(run.key_runs));
  const auto seen = [&](const KeyRun& key) {
    const int64_t position = run.first_position;
    return visible_keys(shape, position, position, key.first_position, key.count).size() == key.count;
  };
  if (run.count == 1) return std::ranges::all_of(keys, seen);
  return keys.size() == 1 && keys[0].count == run.count && keys[0].first_position == run.first_position &&
         (shape.window == 0 || run.count <= shape.window);
}

/// One query run: q [n, heads*head_dim] -> [n, heads*head_dim], in q's type.
at::Tensor attend(const at::Tensor& q, const QueryRun& run, const AttentionPlan& plan, const Sources& sources,
                  const AttentionShape& shape, const at::Tensor& sinks) {
  std::vector<at::Tensor> ks, vs;
  for (int64_t i = run.first_key_run; i < run.first_key_run + run.key_runs; ++i) {
    const KeyRun& key = plan.keys[i];
    ks.push_back(sources.k[key.source].narrow(0, key.begin, key.count));
    vs.push_back(sources.v[key.source].narrow(0, key.begin, key.count));
  }
  if (ks.empty()) return at::zeros_like(q);
  const int64_t group = shape.heads / shape.kv_heads;
  const auto heads_first = [&](const at::Tensor& rows, int64_t heads) {
    return rows.unflatten(1, {heads, shape.head_dim}).transpose(0, 1);  // [heads, rows, head_dim]
  };
  if (!on_cpu(q) && !sinks.defined() && fits_library(run, plan, shape)) {
    const auto one = [&](const at::Tensor& rows, int64_t heads) {
      return heads_first(rows, heads).unsqueeze(0);
    };
    const at::Tensor out = at::scaled_dot_product_attention(
        one(q, shape.heads), one(at::cat(ks), shape.kv_heads), one(at::cat(vs), shape.kv_heads), {}, 0,
        shape.causal && run.count > 1, shape.scale, group > 1);
    return out.squeeze(0).transpose(0, 1).flatten(1);
  }
  const auto type = q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor k = heads_first(at::cat(ks).to(type), shape.kv_heads).repeat_interleave(group, 0);
  const at::Tensor v = heads_first(at::cat(vs).to(type), shape.kv_heads).repeat_interleave(group, 0);
  const at::Tensor hidden = hidden_keys(run, plan, shape, q.device());
  at::Tensor scores = at::matmul(heads_first(q.to(type), shape.heads), k.transpose(1, 2)).mul(shape.scale);
  if (shape.softcap > 0) scores = scores.div(shape.softcap).tanh().mul(shape.softcap);
  // A finite stand-in for minus infinity: a row without a visible key must not become NaN.
  scores = scores.masked_fill(hidden, -1e30);
  if (sinks.defined())
    scores = at::cat({scores, sinks.to(type).view({-1, 1, 1}).expand({shape.heads, run.count, 1})}, -1);
  const at::Tensor weights = scores.softmax(-1).narrow(-1, 0, hidden.size(1)).masked_fill(hidden, 0);
  return at::matmul(weights, v).transpose(0, 1).flatten(1).to(q.scalar_type());
}

}  // namespace

at::Tensor attention_reference(const at::Tensor& qkv, std::span<const KeyValue> extra,
                               const std::shared_ptr<const AttentionPlan>& plan,
                               const AttentionShape& shape) {
  return attention_with_sinks_reference(qkv, extra, plan, shape, {});
}

at::Tensor attention_with_sinks_reference(const at::Tensor& qkv, std::span<const KeyValue> extra,
                                          const std::shared_ptr<const AttentionPlan>& plan,
                                          const AttentionShape& shape, const at::Tensor& sinks) {
  const int64_t width = shape.heads * shape.head_dim, kv_width = shape.kv_heads * shape.head_dim;
  Sources sources{{qkv.narrow(1, width, kv_width)}, {qkv.narrow(1, width + kv_width, kv_width)}};
  for (const KeyValue& source : extra) {
    sources.k.push_back(source.k);
    sources.v.push_back(source.v);
  }
  std::vector<QueryRun> runs = plan->queries;
  std::sort(runs.begin(), runs.end(), [](const QueryRun& a, const QueryRun& b) { return a.begin < b.begin; });
  std::vector<at::Tensor> pieces;
  int64_t done = 0;
  for (const QueryRun& run : runs) {
    if (run.count == 0) continue;
    if (run.begin > done) pieces.push_back(at::zeros({run.begin - done, width}, qkv.options()));
    pieces.push_back(
        attend(qkv.narrow(0, run.begin, run.count).narrow(1, 0, width), run, *plan, sources, shape, sinks));
    done = run.begin + run.count;
  }
  if (done < qkv.size(0) || pieces.empty())
    pieces.push_back(at::zeros({qkv.size(0) - done, width}, qkv.options()));
  return at::cat(pieces);
}

}  // namespace lowrank
