// The gradient of one block of queries in attention; included once per Highway target.
#if defined(LOWRANK_ATTENTION_BACKWARD_BLOCK_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWRANK_ATTENTION_BACKWARD_BLOCK_INL_H
#undef LOWRANK_ATTENTION_BACKWARD_BLOCK_INL_H
#else
#define LOWRANK_ATTENTION_BACKWARD_BLOCK_INL_H
#endif

#include <algorithm>
#include <vector>

#include "kernels/operations/cpu/attention_cpu.h"
#include "kernels/operations/cpu/attention_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

struct BackwardTask {
  const AttentionOperands& operands;
  const AttentionGradients& gradients;
  const BackwardSchedule& schedule;
  const QueryChunk& chunk;
  int64_t kv_head;
  float* scratch;  ///< as BackwardScratch divides it
  float* partial;  ///< [schedule.partial_rows, kv_heads, 2, dp]: dk and dv of shared rows
};

/// Parts of one task's scratch: q (times scale/ln 2), dout, dq [rows, dp]; p, ds [rows, key_block]; lse, dot
/// [rows]; of the key block k [key_block, dp], kt, vt [head_dim, key_columns]; dk, dv [chunk.sum_rows, dp]
/// sums of the whole chunk.
struct BackwardScratch {
  int64_t dp, g, rows;
  float *q, *dout, *dq, *p, *ds, *lse, *dot, *k, *kt, *vt, *dk, *dv;
};

HWY_INLINE BackwardScratch backward_parts(const BackwardTask& task, const QueryBlock& block) {
  const AttentionShape& shape = task.operands.shape;
  BackwardScratch s;
  s.dp = round_up(shape.head_dim);
  s.g = shape.heads / shape.kv_heads;
  s.rows = block.count * s.g;
  s.dk = task.scratch;
  s.dv = s.dk + task.chunk.sum_rows * s.dp;
  s.k = s.dv + task.chunk.sum_rows * s.dp;
  s.kt = s.k + key_block * s.dp;
  s.vt = s.kt + shape.head_dim * key_columns;
  s.q = s.vt + shape.head_dim * key_columns;
  s.dout = s.q + s.rows * s.dp;
  s.dq = s.dout + s.rows * s.dp;
  s.p = s.dq + s.rows * s.dp;
  s.ds = s.p + s.rows * key_block;
  s.lse = s.ds + s.rows * key_block;
  s.dot = s.lse + s.rows;
  return s;
}

int64_t backward_scratch(const AttentionShape& shape, int64_t count, int64_t sum_rows) {
  const int64_t dp = round_up(shape.head_dim), rows = count * (shape.heads / shape.kv_heads);
  return 2 * sum_rows * dp + key_block * dp + 2 * shape.head_dim * key_columns +
         rows * (3 * dp + 2 * key_block + 2);
}

HWY_INLINE float dot(const float* a, const float* b, int64_t n) {
  Vector sum = hn::Zero(F32());
  for (int64_t i = 0; i < n; i += lanes) sum = hn::MulAdd(load(a + i), load(b + i), sum);
  return hn::GetLane(hn::SumOfLanes(F32(), sum));
}

HWY_INLINE void clear(float* p, int64_t n) {
  for (int64_t i = 0; i < n; i += lanes) store(hn::Zero(F32()), p + i);
}

/// Copies the block's rows of q and dout and computes dot = dout·out; dq serves as scratch for out, then is
/// cleared.
template <class T>
void begin_block(const BackwardTask& task, const QueryBlock& block, const BackwardScratch& s) {
  const AttentionShape& shape = task.operands.shape;
  const int64_t d = shape.head_dim;
  const float factor = static_cast<float>(shape.scale * 1.4426950408889634);
  const ConstRows q = task.operands.q, out = task.gradients.out, dout = task.gradients.dout;
  for (int64_t r = 0; r < s.rows; ++r) {
    const int64_t t = block.row + r / s.g, head = task.kv_head * s.g + r % s.g;
    copy_row(static_cast<const T*>(q.data) + t * q.stride + head * d, d, factor, s.q + r * s.dp);
    copy_row(static_cast<const T*>(dout.data) + t * dout.stride + head * d, d, 1.0f, s.dout + r * s.dp);
    copy_row(static_cast<const T*>(out.data) + t * out.stride + head * d, d, 1.0f, s.dq + r * s.dp);
    s.lse[r] = task.gradients.lse[t * shape.heads + head];
    s.dot[r] = dot(s.dout + r * s.dp, s.dq + r * s.dp, s.dp);
  }
  clear(s.dq, s.rows * s.dp);
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

/// Computes P and dS of all rows of the block with n packed keys, the first at `position`, and dq += dS k.
void add_query_gradients(const BackwardTask& task, const QueryBlock& block, const BackwardScratch& s,
                         int64_t position, int64_t n) {
  const AttentionShape& shape = task.operands.shape;
  const int64_t width = round_up(n);
  for (int64_t r = 0; r < s.rows; r += tile_rows) {
    const int64_t m = std::min<int64_t>(tile_rows, s.rows - r);
    const int64_t first = block.position + r / s.g, last = block.position + (r + m - 1) / s.g;
    const Range seen = visible_keys(shape, first, last, position, n);
    const Range columns{seen.begin / lanes * lanes,
                        seen.size() == 0 ? seen.begin / lanes * lanes : round_up(seen.end)};
    float* p = s.p + r * key_block;
    float* ds = s.ds + r * key_block;
    product(m, columns.size(), shape.head_dim, s.q + r * s.dp, s.dp, 1, s.kt + columns.begin, key_columns,
            p + columns.begin, key_block, false);
    product(m, columns.size(), shape.head_dim, s.dout + r * s.dp, s.dp, 1, s.vt + columns.begin, key_columns,
            ds + columns.begin, key_block, false);
    for (int64_t i = 0; i < m; ++i) {
      const int64_t t = block.position + (r + i) / s.g;
      probabilities_row(p + i * key_block, ds + i * key_block, width, columns,
                        visible_keys(shape, t, t, position, n), s.lse[r + i], s.dot[r + i], cap_of(shape));
    }
    if (task.gradients.dq.data)
      product(m, s.dp, seen.size(), ds + seen.begin, key_block, 1, s.k + seen.begin * s.dp, s.dp,
              s.dq + r * s.dp, s.dp, true);
  }
}

/// Keys [first, first + count) of the packed ones, and the first row of the chunk's sums that takes their
/// gradients (-1: none).
struct PackedPart {
  int64_t first = 0, count = 0, at = -1;
};

/// dk += dSᵀ q, dv += Pᵀ dout for a part of the packed keys, of which the first is at `position`.
void add_key_gradients(const BackwardTask& task, const QueryBlock& block, const BackwardScratch& s,
                       int64_t position, const PackedPart& part) {
  const int64_t end = part.first + part.count;
  for (int64_t j = part.first, at = part.at; j < end; j += tile_rows, at += tile_rows) {
    const int64_t m = std::min<int64_t>(tile_rows, end - j);
    const Range queries =
        seeing_queries(task.operands.shape, position + j, position + j + m - 1, block.position, block.count);
    const int64_t row = queries.begin * s.g, rows = queries.size() * s.g;
    product(m, s.dp, rows, s.ds + row * key_block + j, 1, key_block, s.q + row * s.dp, s.dp, s.dk + at * s.dp,
            s.dp, true);
    product(m, s.dp, rows, s.p + row * key_block + j, 1, key_block, s.dout + row * s.dp, s.dp,
            s.dv + at * s.dp, s.dp, true);
  }
}

/// Row of the chunk's sums for row `row` of a source, or -1 when its gradient is not wanted.
HWY_INLINE int64_t sum_row(const QueryChunk& chunk, int32_t source, int64_t row) {
  for (const KeySpan& span : chunk.spans)
    if (span.source == source && row >= span.begin && row < span.end) return span.at + row - span.begin;
  return -1;
}

/// Packs n keys and values from place `to` on.
template <class T>
void pack_keys(const BackwardTask& task, const BackwardScratch& s, int32_t source, int64_t row, int64_t n,
               int64_t to) {
  const int64_t d = task.operands.shape.head_dim;
  const ConstRows k = task.operands.k[source], v = task.operands.v[source];
  const T* keys = static_cast<const T*>(k.data) + row * k.stride + task.kv_head * d;
  transpose_rows(keys, k.stride, n, d, s.kt + to, key_columns);
  transpose_rows(static_cast<const T*>(v.data) + row * v.stride + task.kv_head * d, v.stride, n, d, s.vt + to,
                 key_columns);
  for (int64_t j = 0; j < n; ++j) copy_row(keys + j * k.stride, d, 1.0f, s.k + (to + j) * s.dp);
}

template <class T>
void backward_block(const BackwardTask& task, const QueryBlock& block) {
  const AttentionShape& shape = task.operands.shape;
  const BackwardScratch s = backward_parts(task, block);
  begin_block<T>(task, block, s);
  // As in the forward pass, runs with consecutive positions form one block of keys.
  std::vector<PackedPart> parts;
  int64_t packed = 0, position = 0;
  const auto add_packed = [&] {
    if (packed > 0) add_query_gradients(task, block, s, position, packed);
    for (const PackedPart& part : parts) {
      if (part.at >= 0) add_key_gradients(task, block, s, position, part);
    }
    parts.clear();
    packed = 0;
  };
  for (int64_t i = 0; i < block.key_runs; ++i) {
    const KeyRun& run = task.operands.plan->keys[block.first_key_run + i];
    const Range seen =
        visible_keys(shape, block.position, block.position + block.count - 1, run.first_position, run.count);
    for (int64_t first = seen.begin, n = 0; first < seen.end; first += n) {
      const bool follows = run.first_position + first == position + packed;
      if (packed == key_block || !follows) add_packed();
      if (packed == 0) position = run.first_position + first;
      n = std::min(key_block - packed, seen.end - first);
      pack_keys<T>(task, s, run.source, run.begin + first, n, packed);
      parts.push_back({packed, n, sum_row(task.chunk, run.source, run.begin + first)});
      packed += n;
    }
  }
  add_packed();
  const MutableRows dq = task.gradients.dq;
  if (!dq.data) return;
  for (int64_t r = 0; r < s.rows; ++r)
    write_row(s.dq + r * s.dp, shape.head_dim, static_cast<float>(shape.scale),
              static_cast<T*>(dq.data) + (block.row + r / s.g) * dq.stride +
                  (task.kv_head * s.g + r % s.g) * shape.head_dim);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
