// Terms of groups of tokens, each with its own factors, without gradient.
#include "kernels/products/cpu/low_rank_terms_cpu.h"

#include <algorithm>
#include <array>

#include "kernels/core/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/products/cpu/low_rank_terms_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/products/cpu/thin_products-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// Ranks computed at a time.
constexpr int64_t block_ranks = 64;

template <class T>
void add_group(const LowRankTerms& op, const LowRankGroup& group, int64_t first_token, int64_t end_token) {
  std::array<float, block_rows * block_ranks> inner;  // [rows, ranks]
  const int64_t width = group.end - group.begin;
  for (int64_t first = first_token; first < end_token; first += block_rows) {
    const int64_t rows = std::min(block_rows, end_token - first);
    for (int64_t rank = 0; rank < group.rank; rank += block_ranks) {
      const int64_t ranks = std::min(block_ranks, group.rank - rank);
      dot(static_cast<const T*>(op.x) + first * op.in, op.in, rows, group.a + rank * op.in, ranks, op.in,
          inner.data(), ranks);
      add_product(rows, ranks, width, {inner.data(), ranks, 1}, group.b + rank * width, width,
                  static_cast<T*>(op.y) + first * op.out + group.begin, op.out);
    }
  }
}

void add_terms(const LowRankTerms& op, int64_t begin, int64_t end) {
  for (const LowRankGroup& group : op.groups) {
    const int64_t first = std::max(begin, group.first_token), last = std::min(end, group.end_token);
    if (first >= last) continue;
    op.bf16 ? add_group<uint16_t>(op, group, first, last) : add_group<float>(op, group, first, last);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(add_terms);

void low_rank_terms_cpu(const LowRankTerms& op, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(add_terms)(op, begin, end);
}

}  // namespace lowrank
#endif
