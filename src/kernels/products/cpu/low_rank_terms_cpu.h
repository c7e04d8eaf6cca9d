#pragma once

#include <cstdint>
#include <span>

namespace lowrank {

/// Terms of one group of neighbouring tokens: columns [begin, end) of y += (x A^T) (s B^T). The groups of a
/// product may be adapters of different sequences, experts of a mixture, or patches of one fused product;
/// their ranks may differ.
struct LowRankGroup {
  int64_t first_token = 0, end_token = 0;
  int64_t begin = 0, end = 0;
  int64_t rank = 0;
  const float* a = nullptr;  ///< A [r, in]
  const float* b = nullptr;  ///< s B^T [r, end - begin]
};

struct LowRankTerms {
  const void* x = nullptr;  ///< [T, in], f32 or bf16
  void* y = nullptr;        ///< [T, out], x's type
  int64_t in = 0, out = 0;
  std::span<const LowRankGroup> groups;
  bool bf16 = false;
};

/// Adds all groups' terms to rows [begin, end) of y.
void low_rank_terms_cpu(const LowRankTerms& op, int64_t begin, int64_t end);

}  // namespace lowrank
