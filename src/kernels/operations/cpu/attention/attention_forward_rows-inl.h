// The softmax of attention, and the rows that a task writes; included once per Highway target.
#if defined(LOWRANK_ATTENTION_FORWARD_ROWS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWRANK_ATTENTION_FORWARD_ROWS_INL_H
#undef LOWRANK_ATTENTION_FORWARD_ROWS_INL_H
#else
#define LOWRANK_ATTENTION_FORWARD_ROWS_INL_H
#endif

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/operations/cpu/attention/attention_tiles-inl.h"
#include "kernels/operations/cpu/attention_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

struct ForwardTask {
  const AttentionOperands& operands;
  const QueryBlock& block;
  int64_t kv_head;
  MutableRows out;
  float* lse;
  float* scratch;
};

/// The columns in `columns` of one row of s become 2^(s - m), 0 outside `seen`; updates the row's m, l and o
/// to the new maximum. `rounded`: they are rounded to bf16, so that l is the sum of what is multiplied.
/// `columns` begins and ends at multiples of `lanes` and contains `seen`.
template <bool rounded = false>
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
    Vector e = exp2_negative(hn::Sub(load(s + c), shift));
    if constexpr (rounded) {
      const hn::Rebind<uint32_t, F32> wide;
      e = hn::BitCast(f, hn::And(bf16_bits(f, e), hn::Set(wide, 0xFFFF0000)));
    }
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

/// Writes the task's rows: the sums `o` divided by `l`.
template <class T, class Scratch>
void end_rows(const ForwardTask& task, const Scratch& p) {
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

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
