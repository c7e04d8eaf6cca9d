#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lowrank {

struct AttentionShape {
  int64_t heads, kv_heads, head_dim;
  double scale;
  bool causal = true;
  int64_t window = 0;  ///< 0: none; else a query sees only keys less than `window` positions back
};

/// Rows [begin, begin + count) of a key source, at consecutive positions.
struct KeyRun {
  int32_t source;
  int64_t begin, count, first_position;
};

/// Rows of `qkv` at consecutive positions, and the key runs that they see: `key_runs` entries of the plan's
/// keys.
struct QueryRun {
  int64_t begin, count, first_position;
  int64_t first_key_run, key_runs;
};

/// Who attends to whom in a packed batch; made once and used by all layers.
struct AttentionPlan {
  std::vector<QueryRun> queries;
  std::vector<KeyRun> keys;
};

/// Keys and values beside those of `qkv`: [rows, kv_heads * head_dim] each, any row stride.
struct KeyValue {
  at::Tensor k, v;
};

/// softmax(scale q k^T + mask) v over packed sequences with grouped queries: head h uses key head h / (heads
/// / kv_heads). A key at position p is seen from position t iff (!causal || p <= t) && (window == 0 || t - p
/// < window). `qkv` [T, (heads + 2 kv_heads) * head_dim], already rotated, is key source 0; `extra` are
/// sources 1, 2, …. Returns [T, heads * head_dim] in qkv's type; zeros for rows of no query run and for
/// queries that see no key. Softmax and sums are f32 (f64 for f64). Differentiable in qkv and in those extras
/// that require it; a row that several query runs see gets the sum of its gradients.
at::Tensor attention(const at::Tensor& qkv, std::span<const KeyValue> extra,
                     std::shared_ptr<const AttentionPlan> plan, const AttentionShape& shape);

/// The same from plain differentiable operations.
at::Tensor attention_reference(const at::Tensor& qkv, std::span<const KeyValue> extra,
                               const AttentionPlan& plan, const AttentionShape& shape);

}  // namespace lowrank
