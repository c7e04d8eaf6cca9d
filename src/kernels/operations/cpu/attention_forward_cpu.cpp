#include <algorithm>
#include <cmath>
#include <limits>

#include <hwy/aligned_allocator.h>
#include <hwy/cache_control.h>

#include "kernels/core/cpu/highway_targets.h"
#include "kernels/core/parallel.h"
#include "kernels/operations/cpu/attention_cpu.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/operations/cpu/attention_forward_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/operations/cpu/attention_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

constexpr int64_t block_rows = 192;

struct ForwardTask {
  const AttentionOperands& operands;
  const QueryBlock& block;
  int64_t kv_head;
  MutableRows out;
  float* lse;
  float* scratch;
};

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

/// Copies the task's query rows, times scale/ln 2, and clears the sums.
template <class T>
void begin_rows(const ForwardTask& task, const ForwardScratch& p) {
  const AttentionShape& shape = task.operands.shape;
  const float factor = static_cast<float>(shape.scale * 1.4426950408889634);
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

/// The columns in `columns` of one row of s become 2^(s - m), 0 outside `seen`; updates the row's m, l and o
/// to the new maximum. `columns` begins and ends at multiples of `lanes` and contains `seen`.
HWY_INLINE void softmax_row(float* s, Range columns, Range seen, float* m, float* l, float* o, int64_t dp) {
  const F32 f;
  const Vector minus_infinity = hn::Set(f, -std::numeric_limits<float>::infinity());
  Vector most = minus_infinity;
  for (int64_t c = columns.begin; c < columns.end; c += lanes) {
    Vector x = load(s + c);
    if (c < seen.begin || c + lanes > seen.end) {
      x = hn::IfThenElse(inside(c, seen), x, minus_infinity);
      store(x, s + c);
    }
    most = hn::Max(most, x);
  }
  const float before = *m;
  const float now = std::max(before, hn::GetLane(hn::MaxOfLanes(f, most)));
  const bool none = now == -std::numeric_limits<float>::infinity();
  const Vector shift = hn::Set(f, none ? 0.0f : now);
  Vector sum = hn::Zero(f);
  for (int64_t c = columns.begin; c < columns.end; c += lanes) {
    const Vector e = exp2_negative(hn::Sub(load(s + c), shift));
    sum = hn::Add(sum, e);
    store(e, s + c);
  }
  const float added = hn::GetLane(hn::SumOfLanes(f, sum));
  if (now != before && *l != 0) {
    const float shrink = std::exp2(before - now);
    *l *= shrink;
    for (int64_t d = 0; d < dp; d += lanes) store(hn::Mul(load(o + d), hn::Set(f, shrink)), o + d);
  }
  *m = now;
  *l += added;
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

template <class T>
void end_rows(const ForwardTask& task, const ForwardScratch& p) {
  const AttentionShape& shape = task.operands.shape;
  T* out =
      static_cast<T*>(task.out.data) + task.block.row * task.out.stride + task.kv_head * p.g * shape.head_dim;
  for (int64_t r = 0; r < p.rows; ++r) {
    const int64_t t = r / p.g, head = r % p.g;
    write_row(p.o + r * p.dp, shape.head_dim, p.l[r] > 0 ? 1 / p.l[r] : 0.0f,
              out + t * task.out.stride + head * shape.head_dim);
    if (task.lse)
      task.lse[(task.block.row + t) * shape.heads + task.kv_head * p.g + head] =
          p.l[r] > 0 ? p.m[r] + std::log2(p.l[r]) : 0;
  }
}

template <class T>
void forward_task(const ForwardTask& task) {
  const AttentionOperands& operands = task.operands;
  const int64_t d = operands.shape.head_dim;
  const ForwardScratch p = forward_parts(task);
  begin_rows<T>(task, p);
  // Runs with consecutive positions (a shared prefix and what follows it) form one block of keys.
  int64_t packed = 0, first = 0;
  const auto add_packed = [&] {
    if (packed > 0) add_keys(task, p, first, packed);
    packed = 0;
  };
  for (int64_t i = 0; i < task.block.key_runs; ++i) {
    const KeyRun& run = operands.plan->keys[task.block.first_key_run + i];
    const Range seen =
        visible_keys(operands.shape, task.block.position, task.block.position + task.block.count - 1,
                     run.first_position, run.count);
    const ConstRows k = operands.k[run.source], v = operands.v[run.source];
    for (int64_t at = seen.begin, n = 0; at < seen.end; at += n) {
      const int64_t row = run.begin + at, position = run.first_position + at;
      const T* keys = static_cast<const T*>(k.data) + row * k.stride + task.kv_head * d;
      const T* values = static_cast<const T*>(v.data) + row * v.stride + task.kv_head * d;
      if (p.rows <= tile_rows && d == p.dp) {
        n = std::min(key_block, seen.end - at);
        add_keys_to_few(task, p, keys, k.stride, values, v.stride, position, n);
        continue;
      }
      if (packed == key_block || (packed > 0 && position != first + packed)) add_packed();
      if (packed == 0) first = position;
      n = std::min(key_block - packed, seen.end - at);
      transpose_rows(keys, k.stride, n, d, p.k + packed, key_columns);
      for (int64_t j = 0; j < n; ++j) copy_row(values + j * v.stride, d, 1.0f, p.v + (packed + j) * p.dp);
      packed += n;
    }
  }
  add_packed();
  end_rows<T>(task, p);
}

/// Floats of scratch for a block of `count` queries.
int64_t forward_scratch(const AttentionShape& shape, int64_t count) {
  const int64_t dp = round_up(shape.head_dim), rows = count * (shape.heads / shape.kv_heads);
  return 2 * rows * dp + shape.head_dim * key_columns + key_block * dp + tile_rows * key_block + 2 * rows;
}

void forward(const AttentionOperands& operands, MutableRows out, float* lse) {
  const AttentionShape& shape = operands.shape;
  const int64_t group = shape.heads / shape.kv_heads;
  const auto blocks = query_blocks(*operands.plan, shape, std::max<int64_t>(1, block_rows / group));
  std::vector<int64_t> work;
  int64_t longest = 0;
  for (const QueryBlock& block : blocks) {
    work.push_back(block.work);
    longest = std::max(longest, block.count);
  }
  const std::vector<int64_t> order = largest_first(work);
  const int64_t floats = round_up(forward_scratch(shape, longest));
  const auto scratch = hwy::AllocateAligned<float>(floats * thread_count());
  const auto run = operands.bf16 ? forward_task<uint16_t> : forward_task<float>;
  parallel_tasks(static_cast<int64_t>(blocks.size()) * shape.kv_heads, [&](int64_t i) {
    run({operands, blocks[order[i / shape.kv_heads]], i % shape.kv_heads, out, lse,
         scratch.get() + thread_index() * floats});
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(forward);

void attention_forward_cpu(const AttentionOperands& operands, MutableRows out, float* lse) {
  HWY_DYNAMIC_DISPATCH(forward)(operands, out, lse);
}

}  // namespace lowrank
#endif
