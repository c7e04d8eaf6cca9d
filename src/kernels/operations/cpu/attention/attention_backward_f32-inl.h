// The gradient of attention with products of f32; included once per Highway target.
#if defined(LOWRANK_ATTENTION_BACKWARD_F32_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWRANK_ATTENTION_BACKWARD_F32_INL_H
#undef LOWRANK_ATTENTION_BACKWARD_F32_INL_H
#else
#define LOWRANK_ATTENTION_BACKWARD_F32_INL_H
#endif

#include <algorithm>

#include "kernels/operations/cpu/attention/attention_backward_block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

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

/// Copies the block's rows of q and dout and computes dot = dout·out; dq serves as scratch for out, then is
/// cleared.
template <class T>
void begin_block(const BackwardTask& task, const QueryBlock& block, const BackwardScratch& s) {
  const AttentionShape& shape = task.operands.shape;
  const int64_t d = shape.head_dim;
  const float factor = score_factor(shape);
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

/// Computes P and dS of all rows of the block with n packed keys, the first at `position`, and dq += dS k.
void add_query_gradients_f32(const BackwardTask& task, const QueryBlock& block, const BackwardScratch& s,
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

/// dk += dSᵀ q, dv += Pᵀ dout for a part of the packed keys, of which the first is at `position`.
void add_key_gradients_f32(const BackwardTask& task, const QueryBlock& block, const BackwardScratch& s,
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

/// The products of one block in f32, for keys and values of type T.
template <class T>
struct F32Backward {
  const BackwardTask& task;
  const QueryBlock& block;
  BackwardScratch s;

  F32Backward(const BackwardTask& of, const QueryBlock& queries)
      : task(of), block(queries), s(backward_parts(of, queries)) {
    begin_block<T>(task, block, s);
  }

  /// What the sums of dk are to be multiplied with: q was scaled by scale/ln 2.
  static float key_factor(const AttentionShape& /*shape*/) { return 0.69314718f; }

  /// Packs n keys and values from place `to` on.
  void take(const T* keys, int64_t k_stride, const T* values, int64_t v_stride, int64_t n, int64_t to) {
    const int64_t d = task.operands.shape.head_dim;
    transpose_rows(keys, k_stride, n, d, s.kt + to, key_columns);
    transpose_rows(values, v_stride, n, d, s.vt + to, key_columns);
    for (int64_t j = 0; j < n; ++j) copy_row(keys + j * k_stride, d, 1.0f, s.k + (to + j) * s.dp);
  }

  void add_query_gradients(int64_t position, int64_t n) {
    add_query_gradients_f32(task, block, s, position, n);
  }
  void add_key_gradients(int64_t position, const PackedPart& part) {
    add_key_gradients_f32(task, block, s, position, part);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
