// The gradient of one block of queries in attention; included once per Highway target.
#if defined(LOWRANK_ATTENTION_BACKWARD_BLOCK_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWRANK_ATTENTION_BACKWARD_BLOCK_INL_H
#undef LOWRANK_ATTENTION_BACKWARD_BLOCK_INL_H
#else
#define LOWRANK_ATTENTION_BACKWARD_BLOCK_INL_H
#endif

#include <algorithm>
#include <vector>

#include "kernels/operations/cpu/attention/attention_tiles-inl.h"
#include "kernels/operations/cpu/attention_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

struct BackwardTask {
  const AttentionOperands& operands;
  const AttentionGradients& gradients;
  const BackwardSchedule& schedule;
  const QueryChunk& chunk;
  int64_t kv_head;
  float*
      scratch;  ///< as the products divide it; first the sums dk, dv [chunk.sum_rows, dp] of the whole chunk
  float* partial;  ///< [schedule.partial_rows, kv_heads, 2, dp]: dk and dv of shared rows
};

HWY_INLINE void clear(float* p, int64_t n) {
  for (int64_t i = 0; i < n; i += lanes) store(hn::Zero(F32()), p + i);
}

/// One row, columns [0, width): s holds scores and dp holds dout·v; they become P = 2^(s - lse) and dS = P
/// (dp - dot), both 0 outside `seen`; with a cap, s is capped first, and dS times the cap's slope. So far
/// only the columns in `columns` are filled.
HWY_INLINE void probabilities_row(float* s, float* dp, int64_t width, Range columns, Range seen, float lse,
                                  float dot, float cap) {
  const F32 f;
  const Vector shift = hn::Set(f, lse), mean = hn::Set(f, dot);
  clear(s, columns.begin);
  clear(dp, columns.begin);
  if (cap > 0) softcap_values(s + columns.begin, cap, s + columns.begin, columns.size());
  for (int64_t c = columns.begin; c < columns.end; c += lanes) {
    // A score may round to just above lse, where exp2_negative still holds.
    const Vector score = load(s + c);
    Vector p = exp2_negative(hn::Sub(score, shift));
    Vector ds = hn::Mul(p, hn::Sub(load(dp + c), mean));
    if (cap > 0) ds = hn::Mul(ds, softcap_slope(f, score, cap));
    if (c < seen.begin || c + lanes > seen.end) {
      const auto keep = inside(c, seen);
      p = hn::IfThenElseZero(keep, p);
      ds = hn::IfThenElseZero(keep, ds);
    }
    store(p, s + c);
    store(ds, dp + c);
  }
  clear(s + columns.end, width - columns.end);
  clear(dp + columns.end, width - columns.end);
}

/// Keys [first, first + count) of the packed ones, and the first row of the chunk's sums that takes their
/// gradients (-1: none).
struct PackedPart {
  int64_t first = 0, count = 0, at = -1;
};

/// Row of the chunk's sums for row `row` of a source, or -1 when its gradient is not wanted.
HWY_INLINE int64_t sum_row(const QueryChunk& chunk, int32_t source, int64_t row) {
  for (const KeySpan& span : chunk.spans)
    if (span.source == source && row >= span.begin && row < span.end) return span.at + row - span.begin;
  return -1;
}

/// The gradients of one block of queries; Products computes with packed keys, at most key_block at a time.
template <class T, class Products>
void backward_block(const BackwardTask& task, const QueryBlock& block) {
  const AttentionShape& shape = task.operands.shape;
  const int64_t d = shape.head_dim;
  Products products(task, block);
  // As in the forward pass, runs with consecutive positions form one block of keys.
  std::vector<PackedPart> parts;
  int64_t packed = 0, position = 0;
  const auto add_packed = [&] {
    if (packed > 0) products.add_query_gradients(position, packed);
    for (const PackedPart& part : parts) {
      if (part.at >= 0) products.add_key_gradients(position, part);
    }
    parts.clear();
    packed = 0;
  };
  for (int64_t i = 0; i < block.key_runs; ++i) {
    const KeyRun& run = task.operands.plan->keys[block.first_key_run + i];
    const Range seen =
        visible_keys(shape, block.position, block.position + block.count - 1, run.first_position, run.count);
    const ConstRows k = task.operands.k[run.source], v = task.operands.v[run.source];
    for (int64_t first = seen.begin, n = 0; first < seen.end; first += n) {
      const bool follows = run.first_position + first == position + packed;
      if (packed == key_block || !follows) add_packed();
      if (packed == 0) position = run.first_position + first;
      n = std::min(key_block - packed, seen.end - first);
      const int64_t row = run.begin + first;
      products.take(static_cast<const T*>(k.data) + row * k.stride + task.kv_head * d, k.stride,
                    static_cast<const T*>(v.data) + row * v.stride + task.kv_head * d, v.stride, n, packed);
      parts.push_back({packed, n, sum_row(task.chunk, run.source, row)});
      packed += n;
    }
  }
  add_packed();
  const MutableRows dq = task.gradients.dq;
  if (!dq.data) return;
  const auto& s = products.s;
  for (int64_t r = 0; r < s.rows; ++r)
    write_row(s.dq + r * s.dp, shape.head_dim, static_cast<float>(shape.scale),
              static_cast<T*>(dq.data) + (block.row + r / s.g) * dq.stride +
                  (task.kv_head * s.g + r % s.g) * shape.head_dim);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
