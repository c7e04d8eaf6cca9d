#pragma once

#include <array>
#include <cstdint>

#include "kernels/operations/cpu/attention_cpu.h"

namespace lowrank {

/// Two adjacent values of bf16, the first in the lower half: what dot products of pairs (AVX512-BF16)
/// multiply.
using Pair = uint32_t;

/// True if products of pairs can compute this: rows of bf16 whose heads have whole vectors of pairs, and a
/// processor that has them.
bool has_pair_products(const AttentionOperands& operands);

/// Where packed keys and values lie; `most` of them at a time.
template <int64_t most>
struct PackedRows {
  std::array<const uint16_t*, most> keys{}, values{};

  /// Takes n rows, which follow `packed` earlier ones.
  void take(const uint16_t* first_key, int64_t k_stride, const uint16_t* first_value, int64_t v_stride,
            int64_t n, int64_t packed) {
    for (int64_t j = 0; j < n; ++j) {
      keys[packed + j] = first_key + j * k_stride;
      values[packed + j] = first_value + j * v_stride;
    }
  }
};

/// c[i][j] = factor * sum_l a[i][l]·b[l][j] for m rows, n columns (a multiple of 16) and `pairs` pairs,
/// summed in f32; `add`: added to c. a[i][l] lies at a + i*a_row + l*a_pair.
struct PairProduct {
  int64_t m = 0, n = 0, pairs = 0;
  const Pair* a = nullptr;
  int64_t a_row = 0, a_pair = 1;
  const Pair* b = nullptr;  ///< [pairs, n]
  int64_t b_row = 0;
  float* c = nullptr;  ///< [m, n]
  int64_t c_row = 0;
  float factor = 1;
  bool add = false;
};
void pair_product(const PairProduct& product);

/// to[d][i] = the pair of rows[i][2d] and rows[i][2d+1], for `count` rows of `width` values (a multiple of
/// 32); zero for i from count up to a multiple of 16. Rows of `to` are `to_row` pairs apart.
void transpose_pairs(const uint16_t* const* rows, int64_t count, int64_t width, Pair* to, int64_t to_row);

/// to[i][d] = the pair of rows[2i][d] and rows[2i+1][d], for `count` rows of `width` values (a multiple of
/// 16); a row that is missing is zero. Rows of `to` are `width` pairs apart.
void interleave_rows(const uint16_t* const* rows, int64_t count, int64_t width, Pair* to);

/// to[i] = the pair of from[2i] and from[2i+1], rounded, for `count` values (a multiple of 16).
void round_row(const float* from, int64_t count, Pair* to);

/// to[i] = the pair of first[i] and second[i], rounded, for `count` values (a multiple of 16).
void round_rows_interleaved(const float* first, const float* second, int64_t count, Pair* to);

}  // namespace lowrank
