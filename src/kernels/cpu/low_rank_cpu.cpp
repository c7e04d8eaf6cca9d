// Products of tall matrices with a few rows or columns, in the three forms that low-rank factors need. Each
// keeps a tile of sums in registers; the operands of a block of rows stay in the first cache from one form to
// the next.
#include "kernels/cpu/low_rank_cpu.h"

#include <algorithm>
#include <array>
#include <type_traits>

#include "kernels/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/low_rank_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// A tile has 4 rows and 4 vectors where there are 32 registers, 2 vectors where 16.
constexpr int group = 4;
constexpr int panel = (HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON) ? 4 : 2;
constexpr int64_t block_rows = 32;

template <int N>
using Count = std::integral_constant<int, N>;

/// step(count, i) with groups of N of [0, total), then single ones.
template <int N, class Step>
HWY_INLINE void for_each_group(int64_t total, Step step) {
  int64_t i = 0;
  for (; i + N <= total; i += N) step(Count<N>(), i);
  for (; i < total; ++i) step(Count<1>(), i);
}

/// step(tag, count, i) with panels of some vectors of [0, width), then vectors, then single values.
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

template <class T>
void forward_of(const LowRankForward& op, int64_t begin, int64_t end) {
  for (int64_t first = begin; first < end; first += block_rows) {
    const int64_t rows = std::min(block_rows, end - first);
    float* xa = op.xa + first * op.rank;
    dot(static_cast<const T*>(op.x) + first * op.in, op.in, rows, op.a, op.rank, op.in, xa, op.rank);
    for (const LowRankPart& part : op.parts) {
      const int64_t width = part.end - part.begin;
      add_product(rows, part.rank, width, {xa + part.row, op.rank, 1}, part.b, width,
                  static_cast<T*>(op.y) + first * op.out + part.begin, op.out);
    }
  }
}

template <class T>
void backward_of(const LowRankBackward& op, float* d_a, float* d_b, int64_t begin, int64_t end) {
  std::array<float, block_rows * max_low_rank> du;  // [rows, R]
  for (int64_t first = begin; first < end; first += block_rows) {
    const int64_t rows = std::min(block_rows, end - first);
    const T* x = static_cast<const T*>(op.x) + first * op.in;
    float* to_b = d_b;
    for (const LowRankPart& part : op.parts) {
      const int64_t width = part.end - part.begin;
      const T* dy = static_cast<const T*>(op.dy) + first * op.out + part.begin;
      if (op.dx || part.wants_a)
        dot(dy, op.out, rows, part.b, part.rank, width, du.data() + part.row, op.rank);
      // The transposed factors: [r, rows].
      const Factors inner{op.xa + first * op.rank + part.row, 1, op.rank};
      const Factors slopes{du.data() + part.row, 1, op.rank};
      if (part.wants_b) add_product(part.rank, rows, width, inner, dy, op.out, to_b, width);
      if (part.wants_a) add_product(part.rank, rows, op.in, slopes, x, op.in, d_a + part.row * op.in, op.in);
      to_b += part.rank * width;
    }
    if (op.dx)
      add_product(rows, op.rank, op.in, {du.data(), op.rank, 1}, op.a, op.in,
                  static_cast<T*>(op.dx) + first * op.in, op.in);
  }
}

void forward(const LowRankForward& op, int64_t begin, int64_t end) {
  op.bf16 ? forward_of<uint16_t>(op, begin, end) : forward_of<float>(op, begin, end);
}

void backward(const LowRankBackward& op, float* d_a, float* d_b, int64_t begin, int64_t end) {
  op.bf16 ? backward_of<uint16_t>(op, d_a, d_b, begin, end) : backward_of<float>(op, d_a, d_b, begin, end);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(forward);
HWY_EXPORT(backward);

void low_rank_forward_cpu(const LowRankForward& op, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(forward)(op, begin, end);
}

void low_rank_backward_cpu(const LowRankBackward& op, float* d_a, float* d_b, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(backward)(op, d_a, d_b, begin, end);
}

}  // namespace lowrank
#endif
