// Attention of a block of queries with products of bf16 pairs; included once per Highway target, used by
// AVX-512.
#if defined(LOWRANK_ATTENTION_FORWARD_PAIRS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWRANK_ATTENTION_FORWARD_PAIRS_INL_H
#undef LOWRANK_ATTENTION_FORWARD_PAIRS_INL_H
#else
#define LOWRANK_ATTENTION_FORWARD_PAIRS_INL_H
#endif

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/operations/cpu/attention/attention_forward_rows-inl.h"
#include "kernels/operations/cpu/attention/attention_pairs_avx512bf16.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// Parts of one task's scratch: pairs q [rows, d/2], k [d/2, key_block], v [key_block/2, d], w [tile_rows,
/// key_block/2] (weights of the values); numbers o [rows, d], s [tile_rows, key_block]; m, l [rows] running
/// maximum and sum of each row. d = head_dim, g = heads/kv_heads, row = g * query + head.
struct PairScratch {
  int64_t dp, g, rows;
  float *o, *s, *m, *l;
  Pair *q, *k, *v, *w;
};

HWY_INLINE PairScratch pair_parts(const ForwardTask& task) {
  const AttentionShape& shape = task.operands.shape;
  PairScratch p;
  p.dp = shape.head_dim;
  p.g = shape.heads / shape.kv_heads;
  p.rows = task.block.count * p.g;
  p.o = task.scratch;
  p.s = p.o + p.rows * p.dp;
  p.q = reinterpret_cast<Pair*>(p.s + tile_rows * key_block);
  p.k = p.q + p.rows * p.dp / 2;
  p.v = p.k + p.dp / 2 * key_block;
  p.w = p.v + key_block / 2 * p.dp;
  p.m = reinterpret_cast<float*>(p.w + tile_rows * key_block / 2);
  p.l = p.m + p.rows;
  return p;
}

HWY_INLINE int64_t pair_forward_scratch(const AttentionShape& shape, int64_t count) {
  const int64_t d = shape.head_dim, rows = count * (shape.heads / shape.kv_heads);
  return rows * d + tile_rows * key_block + 2 * rows + rows * d / 2 + d * key_block +
         tile_rows * key_block / 2;
}

/// As F32Forward. The queries keep their values, so that the scores have no rounding but their sum's; the
/// weights of the values are rounded.
struct PairForward {
  const ForwardTask& task;
  PairScratch p;
  PackedRows<key_block> rows;

  explicit PairForward(const ForwardTask& of) : task(of), p(pair_parts(of)) {
    const AttentionShape& shape = task.operands.shape;
    const ConstRows q = task.operands.q;
    const auto* first =
        static_cast<const uint16_t*>(q.data) + task.block.row * q.stride + task.kv_head * p.g * p.dp;
    for (int64_t r = 0; r < p.rows; ++r) {
      std::memcpy(p.q + r * p.dp / 2, first + r / p.g * q.stride + r % p.g * shape.head_dim,
                  p.dp * sizeof(uint16_t));
      p.m[r] = -std::numeric_limits<float>::infinity();
      p.l[r] = 0;
    }
    for (int64_t i = 0; i < p.rows * p.dp; i += lanes) store(hn::Zero(F32()), p.o + i);
  }

  void take(const uint16_t* keys, int64_t k_stride, const uint16_t* values, int64_t v_stride, int64_t n,
            int64_t packed) {
    rows.take(keys, k_stride, values, v_stride, n, packed);
  }

  void add(int64_t position, int64_t n) {
    const AttentionShape& shape = task.operands.shape;
    const float factor = score_factor(shape);
    transpose_pairs(rows.keys.data(), n, p.dp, p.k, key_block);
    interleave_rows(rows.values.data(), n, p.dp, p.v);
    for (int64_t r = 0; r < p.rows; r += tile_rows) {
      const int64_t m = std::min<int64_t>(tile_rows, p.rows - r);
      const int64_t first = task.block.position + r / p.g, last = task.block.position + (r + m - 1) / p.g;
      const Range seen = visible_keys(shape, first, last, position, n);
      if (seen.size() == 0) continue;
      const Range columns{seen.begin / lanes * lanes, round_up(seen.end)};
      pair_product({.m = m,
                    .n = columns.size(),
                    .pairs = p.dp / 2,
                    .a = p.q + r * p.dp / 2,
                    .a_row = p.dp / 2,
                    .b = p.k + columns.begin,
                    .b_row = key_block,
                    .c = p.s + columns.begin,
                    .c_row = key_block,
                    .factor = factor});
      for (int64_t i = 0; i < m; ++i) {
        const int64_t t = task.block.position + (r + i) / p.g;
        float* scores = p.s + i * key_block + columns.begin;
        if (shape.softcap > 0) softcap_values(scores, cap_of(shape), scores, columns.size());
        softmax_row<true>(p.s + i * key_block, columns, visible_keys(shape, t, t, position, n), p.m + r + i,
                          p.l + r + i, p.o + (r + i) * p.dp, p.dp);
        round_row(scores, columns.size(), p.w + (i * key_block + columns.begin) / 2);
      }
      const int64_t first_pair = seen.begin / 2;
      pair_product({.m = m,
                    .n = p.dp,
                    .pairs = (seen.end + 1) / 2 - first_pair,
                    .a = p.w + first_pair,
                    .a_row = key_block / 2,
                    .b = p.v + first_pair * p.dp,
                    .b_row = p.dp,
                    .c = p.o + r * p.dp,
                    .c_row = p.dp,
                    .add = true});
    }
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
