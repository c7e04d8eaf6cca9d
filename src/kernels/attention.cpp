#include "kernels/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

namespace lowrank {
namespace {

/// The keys and values that a query run sees: [keys, kv_heads, head_dim] each, with their positions [keys].
struct Gathered {
  at::Tensor k, v, positions;
};

Gathered gather(const at::Tensor& qkv, std::span<const KeyValue> extra, const AttentionPlan& plan,
                const QueryRun& query, const AttentionShape& shape, at::ScalarType type) {
  const int64_t width = shape.kv_heads * shape.head_dim;
  const KeyValue own{qkv.narrow(1, shape.heads * shape.head_dim, width),
                     qkv.narrow(1, shape.heads * shape.head_dim + width, width)};
  std::vector<at::Tensor> k, v, positions;
  for (int64_t i = 0; i < query.key_runs; ++i) {
    const KeyRun& run = plan.keys[query.first_key_run + i];
    const KeyValue& source = run.source == 0 ? own : extra[run.source - 1];
    k.push_back(source.k.narrow(0, run.begin, run.count).to(type));
    v.push_back(source.v.narrow(0, run.begin, run.count).to(type));
    positions.push_back(at::arange(run.first_position, run.first_position + run.count));
  }
  const std::vector<int64_t> heads{-1, shape.kv_heads, shape.head_dim};
  return {at::cat(k).reshape(heads), at::cat(v).reshape(heads), at::cat(positions)};
}

/// [queries, keys]: true where the key is seen.
at::Tensor visible(const at::Tensor& queries, const at::Tensor& keys, const AttentionShape& shape) {
  const at::Tensor distance = queries.unsqueeze(1) - keys.unsqueeze(0);
  at::Tensor seen = at::ones(distance.sizes(), at::kBool);
  if (shape.causal) seen = seen & distance.ge(0);
  if (shape.window > 0) seen = seen & distance.lt(shape.window);
  return seen;
}

}  // namespace

at::Tensor attention_reference(const at::Tensor& qkv, std::span<const KeyValue> extra,
                               const AttentionPlan& plan, const AttentionShape& shape) {
  const at::ScalarType type = qkv.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const int64_t columns = shape.heads * shape.head_dim;
  at::Tensor out = at::zeros({qkv.size(0), columns}, type);
  for (const QueryRun& query : plan.queries) {
    if (query.count == 0 || query.key_runs == 0) continue;
    const Gathered keys = gather(qkv, extra, plan, query, shape, type);
    if (keys.positions.numel() == 0) continue;
    const at::Tensor rows = at::arange(query.begin, query.begin + query.count);
    const at::Tensor seen = visible(rows - query.begin + query.first_position, keys.positions, shape);
    const at::Tensor q = qkv.narrow(0, query.begin, query.count)
                             .narrow(1, 0, columns)
                             .to(type)
                             .reshape({query.count, shape.heads, shape.head_dim})
                             .transpose(0, 1);
    const int64_t group = shape.heads / shape.kv_heads;
    const at::Tensor k = keys.k.repeat_interleave(group, 1).permute({1, 2, 0});
    const at::Tensor v = keys.v.repeat_interleave(group, 1).transpose(0, 1);
    // A finite floor keeps rows that see nothing free of NaN; they are zeroed below.
    const at::Tensor scores = (at::matmul(q, k) * shape.scale).masked_fill(seen.logical_not(), -1e30);
    const at::Tensor probabilities = at::softmax(scores, -1) * seen.to(type);
    const at::Tensor run = at::matmul(probabilities, v).transpose(0, 1).reshape({query.count, columns});
    out = out.index_copy(0, rows, run);
  }
  return out.to(qkv.scalar_type());
}

at::Tensor attention(const at::Tensor& qkv, std::span<const KeyValue> extra,
                     std::shared_ptr<const AttentionPlan> plan, const AttentionShape& shape) {
  return attention_reference(qkv, extra, *plan, shape);
}

}  // namespace lowrank
