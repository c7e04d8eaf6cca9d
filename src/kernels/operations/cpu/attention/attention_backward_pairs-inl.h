// The gradient of attention with products of bf16 pairs; included once per Highway target.
#if defined(LOWRANK_ATTENTION_BACKWARD_PAIRS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWRANK_ATTENTION_BACKWARD_PAIRS_INL_H
#undef LOWRANK_ATTENTION_BACKWARD_PAIRS_INL_H
#else
#define LOWRANK_ATTENTION_BACKWARD_PAIRS_INL_H
#endif

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/operations/cpu/attention/attention_backward_block-inl.h"
#include "kernels/operations/cpu/attention/attention_pairs_avx512bf16.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// Parts of one task's scratch: numbers dq [rows, d]; p, ds [tile_rows, key_block]; lse, dot [rows]; pairs q,
/// dout [rows, d/2]; two rows each in qt, doutt [rows/2, d], pt, dst [rows/2, key_block]; dsr [tile_rows,
/// key_block/2]; of the key block kt, vt [d/2, key_block], k [key_block/2, d].
struct PairBackwardScratch {
  int64_t dp, g, rows;
  float *dk, *dv, *dq, *p, *ds, *lse, *dot;
  Pair *q, *dout, *qt, *doutt, *pt, *dst, *dsr, *kt, *vt, *k;
};

HWY_INLINE PairBackwardScratch pair_backward_parts(const BackwardTask& task, const QueryBlock& block) {
  const AttentionShape& shape = task.operands.shape;
  PairBackwardScratch s;
  s.dp = shape.head_dim;
  s.g = shape.heads / shape.kv_heads;
  s.rows = block.count * s.g;
  const int64_t twos = (s.rows + 1) / 2;
  s.dk = task.scratch;
  s.dv = s.dk + task.chunk.sum_rows * s.dp;
  s.dq = s.dv + task.chunk.sum_rows * s.dp;
  s.p = s.dq + s.rows * s.dp;
  s.ds = s.p + tile_rows * key_block;
  s.q = reinterpret_cast<Pair*>(s.ds + tile_rows * key_block);
  s.dout = s.q + s.rows * s.dp / 2;
  s.qt = s.dout + s.rows * s.dp / 2;
  s.doutt = s.qt + twos * s.dp;
  s.pt = s.doutt + twos * s.dp;
  s.dst = s.pt + twos * key_block;
  s.dsr = s.dst + twos * key_block;
  s.kt = s.dsr + tile_rows * key_block / 2;
  s.vt = s.kt + s.dp / 2 * key_block;
  s.k = s.vt + s.dp / 2 * key_block;
  s.lse = reinterpret_cast<float*>(s.k + key_block / 2 * s.dp);
  s.dot = s.lse + s.rows;
  return s;
}

HWY_INLINE int64_t pair_backward_scratch(const AttentionShape& shape, int64_t count, int64_t sum_rows) {
  const int64_t d = shape.head_dim, rows = count * (shape.heads / shape.kv_heads), twos = (rows + 1) / 2;
  return 2 * sum_rows * d + rows * (2 * d + 2) + 2 * twos * (d + key_block) +
         key_block * (2 * tile_rows + tile_rows / 2) + 3 * d / 2 * key_block;
}

HWY_INLINE float dot_of(const uint16_t* a, const uint16_t* b, int64_t n) {
  Vector sum = hn::Zero(F32());
  for (int64_t i = 0; i < n; i += lanes) sum = hn::MulAdd(load(a + i), load(b + i), sum);
  return hn::GetLane(hn::SumOfLanes(F32(), sum));
}

/// As F32Backward. Queries, keys, values and dout keep their values; P and dS are rounded where they are
/// multiplied.
struct PairBackward {
  const BackwardTask& task;
  const QueryBlock& block;
  PairBackwardScratch s;
  PackedRows<key_block> rows;

  PairBackward(const BackwardTask& of, const QueryBlock& queries)
      : task(of), block(queries), s(pair_backward_parts(of, queries)) {
    const AttentionShape& shape = task.operands.shape;
    const ConstRows out = task.gradients.out;
    std::vector<const uint16_t*> q_rows, dout_rows;
    q_rows.reserve(s.rows);
    dout_rows.reserve(s.rows);
    for (int64_t r = 0; r < s.rows; ++r) {
      const int64_t t = block.row + r / s.g, head = task.kv_head * s.g + r % s.g;
      q_rows.push_back(row_of(task.operands.q, t, head));
      dout_rows.push_back(row_of(task.gradients.dout, t, head));
      std::memcpy(s.q + r * s.dp / 2, q_rows.back(), s.dp * sizeof(uint16_t));
      std::memcpy(s.dout + r * s.dp / 2, dout_rows.back(), s.dp * sizeof(uint16_t));
      s.lse[r] = task.gradients.lse[t * shape.heads + head];
      s.dot[r] = dot_of(dout_rows.back(), row_of(out, t, head), s.dp);
    }
    interleave_rows(q_rows.data(), s.rows, s.dp, s.qt);
    interleave_rows(dout_rows.data(), s.rows, s.dp, s.doutt);
    clear(s.dq, s.rows * s.dp);
  }

  static float key_factor(const AttentionShape& shape) { return static_cast<float>(shape.scale); }

  void take(const uint16_t* keys, int64_t k_stride, const uint16_t* values, int64_t v_stride, int64_t n,
            int64_t packed) {
    rows.take(keys, k_stride, values, v_stride, n, packed);
  }

  void add_query_gradients(int64_t position, int64_t n) {
    transpose_pairs(rows.keys.data(), n, s.dp, s.kt, key_block);
    transpose_pairs(rows.values.data(), n, s.dp, s.vt, key_block);
    interleave_rows(rows.keys.data(), n, s.dp, s.k);
    for (int64_t r = 0; r < s.rows; r += tile_rows)
      add_tile(position, n, r, std::min<int64_t>(tile_rows, s.rows - r));
  }

  /// As add_key_gradients_f32.
  void add_key_gradients(int64_t position, const PackedPart& part) {
    const int64_t end = part.first + part.count;
    for (int64_t j = part.first, at = part.at; j < end; j += tile_rows, at += tile_rows) {
      const int64_t m = std::min<int64_t>(tile_rows, end - j);
      const Range queries = seeing_queries(task.operands.shape, position + j, position + j + m - 1,
                                           block.position, block.count);
      const int64_t first = queries.begin * s.g / 2, last = (queries.end * s.g + 1) / 2;
      PairProduct product{.m = m,
                          .n = s.dp,
                          .pairs = last - first,
                          .a = s.dst + first * key_block + j,
                          .a_row = 1,
                          .a_pair = key_block,
                          .b = s.qt + first * s.dp,
                          .b_row = s.dp,
                          .c = s.dk + at * s.dp,
                          .c_row = s.dp,
                          .add = true};
      pair_product(product);
      product.a = s.pt + first * key_block + j;
      product.b = s.doutt + first * s.dp;
      product.c = s.dv + at * s.dp;
      pair_product(product);
    }
  }

 private:
  const uint16_t* row_of(ConstRows rows, int64_t t, int64_t head) const {
    return static_cast<const uint16_t*>(rows.data) + t * rows.stride + head * s.dp;
  }

  /// P and dS of rows [r, r + m) with n packed keys, and dq += dS k.
  void add_tile(int64_t position, int64_t n, int64_t r, int64_t m) {
    const AttentionShape& shape = task.operands.shape;
    const int64_t width = round_up(n);
    const int64_t first = block.position + r / s.g, last = block.position + (r + m - 1) / s.g;
    const Range seen = visible_keys(shape, first, last, position, n);
    const int64_t begin = seen.begin / lanes * lanes;
    const Range columns{begin, seen.size() == 0 ? begin : round_up(seen.end)};
    PairProduct product{.m = m,
                        .n = columns.size(),
                        .pairs = s.dp / 2,
                        .a = s.q + r * s.dp / 2,
                        .a_row = s.dp / 2,
                        .b = s.kt + begin,
                        .b_row = key_block,
                        .c = s.p + begin,
                        .c_row = key_block,
                        .factor = score_factor(shape)};
    pair_product(product);
    product.a = s.dout + r * s.dp / 2;
    product.b = s.vt + begin;
    product.c = s.ds + begin;
    product.factor = 1;
    pair_product(product);
    for (int64_t i = 0; i < m; ++i) {
      const int64_t t = block.position + (r + i) / s.g;
      probabilities_row(s.p + i * key_block, s.ds + i * key_block, width, columns,
                        visible_keys(shape, t, t, position, n), s.lse[r + i], s.dot[r + i], cap_of(shape));
      round_row(s.ds + i * key_block, width, s.dsr + i * key_block / 2);
    }
    if (m % 2 != 0) {
      clear(s.p + m * key_block, width);
      clear(s.ds + m * key_block, width);
    }
    static_assert(tile_rows % 2 == 0,
                  "rows are paired within a tile, which thus has room for the row that is missing");
    for (int64_t i = 0; i < m; i += 2) {
      const int64_t place = (r + i) / 2 * key_block;
      round_rows_interleaved(s.p + i * key_block, s.p + (i + 1) * key_block, width, s.pt + place);
      round_rows_interleaved(s.ds + i * key_block, s.ds + (i + 1) * key_block, width, s.dst + place);
    }
    if (!task.gradients.dq.data) return;
    const int64_t first_pair = seen.begin / 2;
    pair_product({.m = m,
                  .n = s.dp,
                  .pairs = (seen.end + 1) / 2 - first_pair,
                  .a = s.dsr + first_pair,
                  .a_row = key_block / 2,
                  .b = s.k + first_pair * s.dp,
                  .b_row = s.dp,
                  .c = s.dq + r * s.dp,
                  .c_row = s.dp,
                  .add = true});
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
