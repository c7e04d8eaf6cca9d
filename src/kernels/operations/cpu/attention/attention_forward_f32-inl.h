// Attention of a block of queries with products of f32; included once per Highway target.
#if defined(LOWRANK_ATTENTION_FORWARD_F32_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWRANK_ATTENTION_FORWARD_F32_INL_H
#undef LOWRANK_ATTENTION_FORWARD_F32_INL_H
#else
#define LOWRANK_ATTENTION_FORWARD_F32_INL_H
#endif

#include <algorithm>
#include <limits>

#include <hwy/cache_control.h>

#include "kernels/operations/cpu/attention/attention_forward_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// Parts of one task's scratch: q, o [rows, dp]; k [head_dim, key_columns], v [key_block, dp]; s [tile_rows,
/// key_block]; m, l [rows] running maximum and sum of each row. dp = round_up(head_dim), g = heads/kv_heads,
/// row = g * query + head.
struct ForwardScratch {
  int64_t dp, g, rows;
  float *q, *o, *k, *v, *s, *m, *l;
};

HWY_INLINE ForwardScratch forward_parts(const ForwardTask& task) {
  const AttentionShape& shape = task.operands.shape;
  ForwardScratch p;
  p.dp = round_up(shape.head_dim);
  p.g = shape.heads / shape.kv_heads;
  p.rows = task.block.count * p.g;
  p.q = task.scratch;
  p.o = p.q + p.rows * p.dp;
  p.k = p.o + p.rows * p.dp;
  p.v = p.k + shape.head_dim * key_columns;
  p.s = p.v + key_block * p.dp;
  p.m = p.s + tile_rows * key_block;
  p.l = p.m + p.rows;
  return p;
}

/// Floats of scratch for a block of `count` queries.
HWY_INLINE int64_t forward_scratch(const AttentionShape& shape, int64_t count) {
  const int64_t dp = round_up(shape.head_dim), rows = count * (shape.heads / shape.kv_heads);
  return 2 * rows * dp + shape.head_dim * key_columns + key_block * dp + tile_rows * key_block + 2 * rows;
}

/// Copies the task's query rows, times scale/ln 2, and clears the sums.
template <class T>
void begin_rows(const ForwardTask& task, const ForwardScratch& p) {
  const AttentionShape& shape = task.operands.shape;
  const float factor = score_factor(shape);
  const T* q = static_cast<const T*>(task.operands.q.data) + task.block.row * task.operands.q.stride +
               task.kv_head * p.g * shape.head_dim;
  for (int64_t r = 0; r < p.rows; ++r) {
    copy_row(q + r / p.g * task.operands.q.stride + r % p.g * shape.head_dim, shape.head_dim, factor,
             p.q + r * p.dp);
    p.m[r] = -std::numeric_limits<float>::infinity();
    p.l[r] = 0;
  }
  for (int64_t i = 0; i < p.rows * p.dp; i += lanes) store(hn::Zero(F32()), p.o + i);
}

/// Adds n keys, the first at `position`, packed in p.k and p.v, to the rows' sums.
void add_keys(const ForwardTask& task, const ForwardScratch& p, int64_t position, int64_t n) {
  const AttentionShape& shape = task.operands.shape;
  for (int64_t r = 0; r < p.rows; r += tile_rows) {
    const int64_t m = std::min<int64_t>(tile_rows, p.rows - r);
    const int64_t first = task.block.position + r / p.g, last = task.block.position + (r + m - 1) / p.g;
    const Range seen = visible_keys(shape, first, last, position, n);
    if (seen.size() == 0) continue;
    const Range columns{seen.begin / lanes * lanes, round_up(seen.end)};
    product(m, columns.size(), shape.head_dim, p.q + r * p.dp, p.dp, 1, p.k + columns.begin, key_columns,
            p.s + columns.begin, key_block, false);
    for (int64_t i = 0; i < m; ++i) {
      const int64_t t = task.block.position + (r + i) / p.g;
      float* scores = p.s + i * key_block + columns.begin;
      if (shape.softcap > 0) softcap_values(scores, cap_of(shape), scores, columns.size());
      softmax_row(p.s + i * key_block, columns, visible_keys(shape, t, t, position, n), p.m + r + i,
                  p.l + r + i, p.o + (r + i) * p.dp, p.dp);
    }
    product(m, p.dp, seen.size(), p.s + seen.begin, key_block, 1, p.v + seen.begin * p.dp, p.dp,
            p.o + r * p.dp, p.dp, true);
  }
}

/// s[i][j] = q[i]·k[j] for M queries [M, dp] and n keys in their storage type; head_dim is a multiple of
/// `lanes`. `v`: the values, prefetched because they are needed next.
template <int M, class T>
void scores_of_few(const float* q, int64_t dp, const T* k, int64_t stride, const T* v, int64_t v_stride,
                   int64_t n, float* s) {
  constexpr int64_t ahead = 16, line = 64 / sizeof(T);
  const F32 f;
  for (int64_t j = 0; j < n; ++j, k += stride, v += v_stride) {
    // Rows of one head are far apart, so the hardware does not prefetch them. A prefetch beyond the rows is
    // harmless.
    for (int64_t d = 0; d < dp; d += line) {
      hwy::Prefetch(k + ahead * stride + d);
      hwy::Prefetch(v + d);
    }
    Vector sum[M];
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) sum[i] = hn::Zero(f);
    for (int64_t d = 0; d < dp; d += lanes) {
      const Vector key = load(k + d);
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) sum[i] = hn::MulAdd(load(q + i * dp + d), key, sum[i]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) s[i * key_block + j] = hn::GetLane(hn::SumOfLanes(f, sum[i]));
  }
}

/// As add_keys for at most tile_rows rows (decoding): reads n keys and values in place, since packing them
/// would cost more than using them.
template <class T>
void add_keys_to_few(const ForwardTask& task, const ForwardScratch& p, const T* k, int64_t k_stride,
                     const T* v, int64_t v_stride, int64_t position, int64_t n) {
  const AttentionShape& shape = task.operands.shape;
  static constexpr void (*scores[tile_rows])(const float*, int64_t, const T*, int64_t, const T*, int64_t,
                                             int64_t, float*) = {scores_of_few<1, T>, scores_of_few<2, T>,
                                                                 scores_of_few<3, T>, scores_of_few<4, T>,
                                                                 scores_of_few<5, T>, scores_of_few<6, T>};
  scores[p.rows - 1](p.q, p.dp, k, k_stride, v, v_stride, n, p.s);
  for (int64_t r = 0; r < p.rows; ++r) {
    const int64_t t = task.block.position + r / p.g;
    if (shape.softcap > 0) softcap_values(p.s + r * key_block, cap_of(shape), p.s + r * key_block, n);
    softmax_row(p.s + r * key_block, {0, round_up(n)}, visible_keys(shape, t, t, position, n), p.m + r,
                p.l + r, p.o + r * p.dp, p.dp);
  }
  product(p.rows, p.dp, n, p.s, key_block, 1, v, v_stride, p.o, p.dp, true);
}

/// Attention of a task of at most tile_rows rows whose heads have whole vectors.
template <class T>
void forward_few(const ForwardTask& task) {
  const AttentionOperands& operands = task.operands;
  const ForwardScratch p = forward_parts(task);
  begin_rows<T>(task, p);
  for (int64_t i = 0; i < task.block.key_runs; ++i) {
    const KeyRun& run = operands.plan->keys[task.block.first_key_run + i];
    const Range seen =
        visible_keys(operands.shape, task.block.position, task.block.position + task.block.count - 1,
                     run.first_position, run.count);
    const ConstRows k = operands.k[run.source], v = operands.v[run.source];
    for (int64_t at = seen.begin, n = 0; at < seen.end; at += n) {
      const int64_t row = run.begin + at;
      n = std::min(key_block, seen.end - at);
      add_keys_to_few(task, p, static_cast<const T*>(k.data) + row * k.stride + task.kv_head * p.dp, k.stride,
                      static_cast<const T*>(v.data) + row * v.stride + task.kv_head * p.dp, v.stride,
                      run.first_position + at, n);
    }
  }
  end_rows<T>(task, p);
}

/// The products of one task in f32, for keys and values of type T; `to`: how many keys are packed before
/// these n.
template <class T>
struct F32Forward {
  const ForwardTask& task;
  ForwardScratch p;

  explicit F32Forward(const ForwardTask& of) : task(of), p(forward_parts(of)) { begin_rows<T>(task, p); }

  void take(const T* keys, int64_t k_stride, const T* values, int64_t v_stride, int64_t n, int64_t to) {
    const int64_t d = task.operands.shape.head_dim;
    transpose_rows(keys, k_stride, n, d, p.k + to, key_columns);
    for (int64_t j = 0; j < n; ++j) copy_row(values + j * v_stride, d, 1.0f, p.v + (to + j) * p.dp);
  }

  void add(int64_t position, int64_t n) { add_keys(task, p, position, n); }
};

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
