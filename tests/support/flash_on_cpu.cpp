// libtorch has its flash attention for GPUs alone. Here are its two operations for the CPU, in f32 and as
// plainly as their mask is described (Dao 2023, arXiv 2307.08691; causal masks and windows count from the
// last key), so that the stand-in device's fallback finds them.
#include <cmath>
#include <optional>
#include <tuple>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

namespace lowrank::test {
namespace {

struct Mask {
  bool causal = true;
  int64_t left = -1, right = -1;  ///< negative: no limit
};

Mask mask_of(bool causal, std::optional<c10::SymInt> left, std::optional<c10::SymInt> right) {
  const auto limit = [](const std::optional<c10::SymInt>& one) { return one ? one->expect_int() : -1; };
  return {causal, limit(left), causal ? 0 : limit(right)};
}

/// The rows of one sequence: [begin, begin + count) of the queries and of the keys.
struct Sequence {
  int64_t queries = 0, query_count = 0, keys = 0, key_count = 0;
};

std::vector<Sequence> sequences_of(const at::Tensor& query_offsets, const at::Tensor& key_offsets) {
  TORCH_CHECK(query_offsets.scalar_type() == at::kInt && key_offsets.scalar_type() == at::kInt,
              "offsets must be int32");
  const at::Tensor queries = query_offsets.contiguous(), keys = key_offsets.contiguous();
  const int32_t *q = queries.const_data_ptr<int32_t>(), *k = keys.const_data_ptr<int32_t>();
  std::vector<Sequence> all;
  for (int64_t i = 0; i + 1 < queries.numel(); ++i)
    all.push_back({q[i], q[i + 1] - q[i], k[i], k[i + 1] - k[i]});
  return all;
}

/// [queries, keys]: true where the query must not see the key.
at::Tensor hidden(const Sequence& s, const Mask& mask) {
  const at::Tensor own = at::arange(s.query_count).add(s.key_count - s.query_count).unsqueeze(1);
  const at::Tensor ahead = at::arange(s.key_count).unsqueeze(0) - own;
  at::Tensor result = at::zeros({s.query_count, s.key_count}, at::kBool);
  if (mask.left >= 0) result = result | (ahead < -mask.left);
  if (mask.right >= 0) result = result | (ahead > mask.right);
  return result;
}

/// Rows of one sequence, [heads, rows, head_dim] in f32, each key head once for each of its query heads.
at::Tensor heads_of(const at::Tensor& rows, int64_t begin, int64_t count, int64_t heads) {
  const at::Tensor own = rows.narrow(0, begin, count).to(at::kFloat).transpose(0, 1);
  return own.repeat_interleave(heads / own.size(0), 0);
}

/// The probabilities of one sequence, [heads, queries, keys].
at::Tensor probabilities(const at::Tensor& q, const at::Tensor& k, const Sequence& s, const Mask& mask,
                         double scale) {
  const at::Tensor masked = hidden(s, mask);
  const at::Tensor scores = at::matmul(q, k.transpose(1, 2)).mul(scale).masked_fill(masked, -1e30);
  return scores.softmax(-1).masked_fill(masked, 0);
}

void check_rows(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, double dropout) {
  TORCH_CHECK(dropout == 0, "no dropout here");
  for (const at::Tensor& one : {query, key, value}) {
    TORCH_CHECK(one.dim() == 3 && one.stride(2) == 1 && one.size(2) % 8 == 0 && one.size(2) <= 256,
                "rows must be [rows, heads, head_dim]");
    TORCH_CHECK(one.scalar_type() == at::kBFloat16 || one.scalar_type() == at::kHalf, "bf16 or f16");
  }
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> forward(
    const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
    const std::optional<at::Tensor>& query_offsets, const std::optional<at::Tensor>& key_offsets,
    c10::SymInt longest_queries, c10::SymInt longest_keys, double dropout, bool causal, bool /*debug*/,
    std::optional<double> scale, std::optional<c10::SymInt> left, std::optional<c10::SymInt> right,
    const std::optional<at::Tensor>& /*used*/, const std::optional<at::Tensor>& /*slopes*/,
    const std::optional<at::Tensor>& /*table*/, std::optional<int64_t> /*splits*/) {
  check_rows(query, key, value, dropout);
  const Mask mask = mask_of(causal, left, right);
  const int64_t heads = query.size(1);
  at::Tensor out = at::empty(query.sizes(), query.options());
  for (const Sequence& s : sequences_of(query_offsets.value(), key_offsets.value())) {
    TORCH_CHECK(s.query_count <= longest_queries && s.key_count <= longest_keys, "longer than the longest");
    const at::Tensor q = heads_of(query, s.queries, s.query_count, heads);
    const at::Tensor p = probabilities(q, heads_of(key, s.keys, s.key_count, heads), s, mask, scale.value());
    const at::Tensor rows = at::matmul(p, heads_of(value, s.keys, s.key_count, heads));
    out.narrow(0, s.queries, s.query_count).copy_(rows.transpose(0, 1));
  }
  const at::Tensor nothing = at::empty({0}, query.options().dtype(at::kLong));
  return {out, at::zeros({heads, query.size(0)}, query.options().dtype(at::kFloat)), nothing, nothing,
          nothing};
}

/// Sums over the query heads of each key head: [heads, rows, head_dim] -> [rows, kv_heads, head_dim].
at::Tensor by_key_head(const at::Tensor& by_head, int64_t kv_heads) {
  return by_head.unflatten(0, {kv_heads, by_head.size(0) / kv_heads}).sum(1).transpose(0, 1);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> backward(
    const at::Tensor& dout, const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
    const at::Tensor& /*out*/, const at::Tensor& /*logsumexp*/, const at::Tensor& query_offsets,
    const at::Tensor& key_offsets, c10::SymInt /*longest_queries*/, c10::SymInt /*longest_keys*/,
    double dropout, bool causal, const at::Tensor& /*state*/, const at::Tensor& /*unused*/,
    std::optional<double> scale, std::optional<c10::SymInt> left, std::optional<c10::SymInt> right) {
  check_rows(query, key, value, dropout);
  const Mask mask = mask_of(causal, left, right);
  const int64_t heads = query.size(1), kv_heads = key.size(1);
  at::Tensor dq = at::zeros(query.sizes(), query.options()), dk = at::zeros(key.sizes(), key.options()),
             dv = at::zeros(value.sizes(), value.options());
  for (const Sequence& s : sequences_of(query_offsets, key_offsets)) {
    const at::Tensor q = heads_of(query, s.queries, s.query_count, heads),
                     k = heads_of(key, s.keys, s.key_count, heads),
                     v = heads_of(value, s.keys, s.key_count, heads),
                     g = heads_of(dout, s.queries, s.query_count, heads);
    const at::Tensor p = probabilities(q, k, s, mask, scale.value());
    const at::Tensor dp = at::matmul(g, v.transpose(1, 2));
    const at::Tensor ds = p * (dp - (p * dp).sum(-1, true)) * scale.value();
    dq.narrow(0, s.queries, s.query_count).copy_(at::matmul(ds, k).transpose(0, 1));
    dk.narrow(0, s.keys, s.key_count).copy_(by_key_head(at::matmul(ds.transpose(1, 2), q), kv_heads));
    dv.narrow(0, s.keys, s.key_count).copy_(by_key_head(at::matmul(p.transpose(1, 2), g), kv_heads));
  }
  return {dq, dk, dv};
}

TORCH_LIBRARY_IMPL(aten, CPU, library) {
  library.impl("_flash_attention_forward", forward);
  library.impl("_flash_attention_backward", backward);
}

}  // namespace
}  // namespace lowrank::test
