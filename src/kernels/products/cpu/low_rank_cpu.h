#pragma once

#include <cstdint>
#include <span>

namespace lowrank {

/// Largest sum of ranks that the low-rank kernels take: the inner products of a block of rows, then 16 KB,
/// stay in the first-level cache.
constexpr int64_t max_low_rank = 128;

/// One patch of a product: columns [begin, end) of y, factors of rank r.
struct LowRankPart {
  int64_t begin = 0, end = 0;
  int64_t rank = 0;
  int64_t row = 0;           ///< index of its first row in the stacked A, and of its first column in x A^T
  const float* b = nullptr;  ///< [r, end - begin]: s B^T
  bool wants_a = false, wants_b = false;  ///< which gradients are wanted
};

/// y += (x A^T) (s B^T) on each part's columns; R is the sum of ranks.
struct LowRankForward {
  const void* x = nullptr;   ///< [T, in], f32 or bf16
  void* y = nullptr;         ///< [T, out], x's type
  const float* a = nullptr;  ///< [R, in]
  float* xa = nullptr;       ///< [T, R], written
  int64_t in = 0, out = 0, rank = 0;
  std::span<const LowRankPart> parts;
  bool bf16 = false;
};

/// du = dy (s B); dx += du A; dA += du^T x; d(s B^T) += (x A^T)^T dy.
struct LowRankBackward {
  const void* x = nullptr;    ///< [T, in], f32 or bf16
  const void* dy = nullptr;   ///< [T, out], x's type
  void* dx = nullptr;         ///< [T, in], x's type; null: not wanted
  const float* a = nullptr;   ///< [R, in]
  const float* xa = nullptr;  ///< [T, R]
  int64_t in = 0, out = 0, rank = 0;
  std::span<const LowRankPart> parts;
  bool bf16 = false;
};

/// Rows [begin, end) of a LowRankForward.
void low_rank_forward_cpu(const LowRankForward& op, int64_t begin, int64_t end);

/// Rows [begin, end) of a LowRankBackward. Gradients of the factors are added to `d_a` [R, in] and `d_b`, the
/// parts' [r, end - begin] one after the other; what no part wants is left as it is.
void low_rank_backward_cpu(const LowRankBackward& op, float* d_a, float* d_b, int64_t begin, int64_t end);

}  // namespace lowrank
