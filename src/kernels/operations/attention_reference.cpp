#include <algorithm>
#include <cstdlib>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "kernels/operations/attention_sinks.h"

namespace lowrank {
namespace {

struct Sources {
  std::vector<at::Tensor> k, v;  // [rows, kv_heads*head_dim] each
};

/// [queries, keys]: true where the query must not see the key.
at::Tensor hidden_keys(const QueryRun& run, const AttentionPlan& plan, const AttentionShape& shape) {
  std::vector<at::Tensor> columns;
  for (int64_t i = run.first_key_run; i < run.first_key_run + run.key_runs; ++i) {
    const KeyRun& keys = plan.keys[i];
    at::Tensor hidden = at::zeros({run.count, keys.count}, at::TensorOptions().dtype(at::kBool));
    bool* entry = hidden.mutable_data_ptr<bool>();
    for (int64_t t = run.first_position; t < run.first_position + run.count; ++t)
      for (int64_t p = keys.first_position; p < keys.first_position + keys.count; ++p)
        *entry++ = (shape.causal && p > t) || (shape.window > 0 && std::abs(t - p) >= shape.window);
    columns.push_back(hidden);
  }
  return at::cat(columns, 1);
}

/// One query run: q [n, heads*head_dim] -> [n, heads*head_dim].
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
  const at::Tensor k = heads_first(at::cat(ks), shape.kv_heads).repeat_interleave(group, 0);
  const at::Tensor v = heads_first(at::cat(vs), shape.kv_heads).repeat_interleave(group, 0);
  const at::Tensor hidden = hidden_keys(run, plan, shape);
  at::Tensor scores = at::matmul(heads_first(q, shape.heads), k.transpose(1, 2)).mul(shape.scale);
  if (shape.softcap > 0) scores = scores.div(shape.softcap).tanh().mul(shape.softcap);
  // A finite stand-in for minus infinity: a row without a visible key must not become NaN.
  scores = scores.masked_fill(hidden, -1e30);
  if (sinks.defined())
    scores = at::cat({scores, sinks.view({-1, 1, 1}).expand({shape.heads, run.count, 1})}, -1);
  const at::Tensor weights = scores.softmax(-1).narrow(-1, 0, hidden.size(1)).masked_fill(hidden, 0);
  return at::matmul(weights, v).transpose(0, 1).flatten(1);
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
  const auto type = qkv.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const int64_t width = shape.heads * shape.head_dim, kv_width = shape.kv_heads * shape.head_dim;
  const at::Tensor all = qkv.to(type);
  Sources sources{{all.narrow(1, width, kv_width)}, {all.narrow(1, width + kv_width, kv_width)}};
  for (const KeyValue& source : extra) {
    sources.k.push_back(source.k.to(type));
    sources.v.push_back(source.v.to(type));
  }
  std::vector<QueryRun> runs = plan->queries;
  std::sort(runs.begin(), runs.end(), [](const QueryRun& a, const QueryRun& b) { return a.begin < b.begin; });
  std::vector<at::Tensor> pieces;
  int64_t done = 0;
  for (const QueryRun& run : runs) {
    if (run.count == 0) continue;
    if (run.begin > done) pieces.push_back(at::zeros({run.begin - done, width}, all.options()));
    pieces.push_back(attend(all.narrow(0, run.begin, run.count).narrow(1, 0, width), run, *plan, sources,
                            shape, sinks.defined() ? sinks.to(type) : sinks));
    done = run.begin + run.count;
  }
  if (done < qkv.size(0) || pieces.empty())
    pieces.push_back(at::zeros({qkv.size(0) - done, width}, all.options()));
  return at::cat(pieces).to(qkv.scalar_type());
}

}  // namespace lowrank
