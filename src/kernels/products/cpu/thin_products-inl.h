// Products of tall matrices with few rows or columns, in the forms that low-rank factors need. Each keeps a
// tile of sums in registers. Included once per Highway target.
#if defined(LOWRANK_THIN_PRODUCTS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWRANK_THIN_PRODUCTS_INL_H
#undef LOWRANK_THIN_PRODUCTS_INL_H
#else
#define LOWRANK_THIN_PRODUCTS_INL_H
#endif

#include <cstdint>
#include <type_traits>

#include "kernels/core/cpu/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// A tile has 4 rows and 4 vectors with 32 registers, 2 vectors with 16.
constexpr int group = 4;
constexpr int panel = (HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON) ? 4 : 2;
/// Rows whose operands stay in the first-level cache from one form to the next.
constexpr int64_t block_rows = 32;

template <int N>
using Count = std::integral_constant<int, N>;

/// Calls step(count, i) for groups of N in [0, total), then for single ones.
template <int N, class Step>
HWY_INLINE void for_each_group(int64_t total, Step step) {
  int64_t i = 0;
  for (; i + N <= total; i += N) step(Count<N>(), i);
  for (; i < total; ++i) step(Count<1>(), i);
}

/// Calls step(tag, count, i) for panels of several vectors in [0, width), then for vectors, then for single
/// values.
template <class Step>
HWY_INLINE void for_each_panel(int64_t width, Step step) {
  const hn::ScalableTag<float> full;
  const hn::CappedTag<float, 1> single;
  const auto lanes = static_cast<int64_t>(hn::Lanes(full));
  int64_t i = 0;
  for (; i + panel * lanes <= width; i += panel * lanes) step(full, Count<panel>(), i);
  for (; i + lanes <= width; i += lanes) step(full, Count<1>(), i);
  for (; i < width; ++i) step(single, Count<1>(), i);
}

/// to[M, K] = x[M, width] m[K, width]^T.
template <int M, int K, class T>
HWY_INLINE void dot_tile(const T* x, int64_t x_row, const float* m, int64_t width, float* to,
                         int64_t to_row) {
  const hn::ScalableTag<float> full;
  const auto lanes = static_cast<int64_t>(hn::Lanes(full));
  hn::Vec<hn::ScalableTag<float>> sum[M][K];
#pragma GCC unroll 8
  for (int r = 0; r < M; ++r)
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) sum[r][k] = hn::Zero(full);
  int64_t i = 0;
  for (; i + lanes <= width; i += lanes) {
    hn::Vec<hn::ScalableTag<float>> right[K];
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) right[k] = load(full, m + k * width + i);
#pragma GCC unroll 8
    for (int r = 0; r < M; ++r) {
      const auto left = load(full, x + r * x_row + i);
#pragma GCC unroll 8
      for (int k = 0; k < K; ++k) sum[r][k] = hn::MulAdd(left, right[k], sum[r][k]);
    }
  }
  const hn::CappedTag<float, 1> single;
#pragma GCC unroll 8
  for (int r = 0; r < M; ++r) {
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) {
      float total = hn::GetLane(hn::SumOfLanes(full, sum[r][k]));
      for (int64_t rest = i; rest < width; ++rest)
        total += hn::GetLane(load(single, x + r * x_row + rest)) * m[k * width + rest];
      to[r * to_row + k] = total;
    }
  }
}

/// to[rows, k] = x[rows, width] m[k, width]^T.
template <class T>
HWY_INLINE void dot(const T* x, int64_t x_row, int64_t rows, const float* m, int64_t k, int64_t width,
                    float* to, int64_t to_row) {
  for_each_group<group>(rows, [&](auto row_count, int64_t r) HWY_ATTR {
    for_each_group<panel>(k, [&](auto count, int64_t j) HWY_ATTR {
      dot_tile<row_count(), count()>(x + r * x_row, x_row, m + j * width, width, to + r * to_row + j, to_row);
    });
  });
}

/// Factors c[i, l] at c + i * row + l * step.
struct Factors {
  const float* c;
  int64_t row, step;
};

/// to[M, N vectors of d] += c[M, k] m[k, N vectors of d].
template <int M, int N, class D, class In, class Out>
HWY_INLINE void product_tile(D d, Factors factors, const In* m, int64_t m_row, int64_t k, Out* to,
                             int64_t to_row) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<D> sum[M][N];
#pragma GCC unroll 8
  for (int r = 0; r < M; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) sum[r][v] = load(d, to + r * to_row + v * lanes);
  for (int64_t l = 0; l < k; ++l) {
    hn::Vec<D> right[N];
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) right[v] = load(d, m + l * m_row + v * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < M; ++r) {
      const auto left = hn::Set(d, factors.c[r * factors.row + l * factors.step]);
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) sum[r][v] = hn::MulAdd(left, right[v], sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < M; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) store(sum[r][v], d, to + r * to_row + v * lanes);
}

/// to[rows, width] += c[rows, k] m[k, width].
template <class In, class Out>
HWY_INLINE void add_product(int64_t rows, int64_t k, int64_t width, Factors factors, const In* m,
                            int64_t m_row, Out* to, int64_t to_row) {
  for_each_group<group>(rows, [&](auto row_count, int64_t r) HWY_ATTR {
    const Factors own{factors.c + r * factors.row, factors.row, factors.step};
    for_each_panel(width, [&](auto d, auto count, int64_t i) HWY_ATTR {
      product_tile<row_count(), count()>(d, own, m + i, m_row, k, to + r * to_row + i, to_row);
    });
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
