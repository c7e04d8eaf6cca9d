// Products of small f32 matrices that lie in the cache, and what goes with them; included once per Highway
// target.
#if defined(LOWRANK_SMALL_PRODUCTS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWRANK_SMALL_PRODUCTS_INL_H
#undef LOWRANK_SMALL_PRODUCTS_INL_H
#else
#define LOWRANK_SMALL_PRODUCTS_INL_H
#endif

#include <cstdint>

#include "kernels/core/cpu/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// A left factor; its value in row i and column k is values[i * row + k * column].
struct LeftFactor {
  const float* values;
  int64_t row, column;
};

/// A matrix by rows.
struct RightFactor {
  const float* values;
  int64_t stride;
};

/// Rows and vectors of the result that lie in registers at a time.
inline constexpr int block_rows = 4;
#if HWY_ARCH_X86 && HWY_TARGET > HWY_AVX3
inline constexpr int block_vectors = 2;  // of 16 registers
#else
inline constexpr int block_vectors = 4;
#endif
/// Inner values at a time, so that so many rows of a panel of b stay in the first-level cache, however far
/// apart they lie.
inline constexpr int64_t inner_block = 64;

/// `rows` x `vectors` vectors of the result: plus the product, or, if `fresh`, the product alone.
template <int rows, int vectors, class D>
HWY_INLINE void multiply_block(D d, LeftFactor a, RightFactor b, float* c, int64_t stride, int64_t inner,
                               bool fresh) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<D> sums[rows][vectors];
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v)
      sums[r][v] = fresh ? hn::Zero(d) : hn::LoadU(d, c + r * stride + v * lanes);
  }
  for (int64_t k = 0; k < inner; ++k) {
    hn::Vec<D> right[vectors];
    for (int v = 0; v < vectors; ++v) right[v] = hn::LoadU(d, b.values + k * b.stride + v * lanes);
    for (int r = 0; r < rows; ++r) {
      const auto left = hn::Set(d, a.values[r * a.row + k * a.column]);
      for (int v = 0; v < vectors; ++v) sums[r][v] = hn::MulAdd(left, right[v], sums[r][v]);
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) hn::StoreU(sums[r][v], d, c + r * stride + v * lanes);
  }
}

template <int vectors, class D>
HWY_INLINE void multiply_columns(D d, LeftFactor a, RightFactor b, float* c, int64_t stride, int64_t rows,
                                 int64_t inner, bool fresh) {
  const auto from = [&](int64_t row) HWY_ATTR { return LeftFactor{a.values + row * a.row, a.row, a.column}; };
  int64_t i = 0;
  for (; i + block_rows <= rows; i += block_rows)
    multiply_block<block_rows, vectors>(d, from(i), b, c + i * stride, stride, inner, fresh);
  if (i + 2 <= rows) {
    multiply_block<2, vectors>(d, from(i), b, c + i * stride, stride, inner, fresh);
    i += 2;
  }
  if (i < rows) multiply_block<1, vectors>(d, from(i), b, c + i * stride, stride, inner, fresh);
}

/// The part of a product of `inner` values, at most inner_block.
inline void multiply_part(LeftFactor a, RightFactor b, float* c, int64_t stride, int64_t rows, int64_t inner,
                          int64_t columns, bool fresh) {
  const hn::ScalableTag<float> full;
  const hn::CappedTag<float, 1> single;
  const auto lanes = static_cast<int64_t>(hn::Lanes(full));
  const auto from = [&](int64_t column) HWY_ATTR { return RightFactor{b.values + column, b.stride}; };
  int64_t j = 0;
  for (; j + block_vectors * lanes <= columns; j += block_vectors * lanes)
    multiply_columns<block_vectors>(full, a, from(j), c + j, stride, rows, inner, fresh);
  if (block_vectors > 2 && j + 2 * lanes <= columns) {
    multiply_columns<2>(full, a, from(j), c + j, stride, rows, inner, fresh);
    j += 2 * lanes;
  }
  if (j + lanes <= columns) {
    multiply_columns<1>(full, a, from(j), c + j, stride, rows, inner, fresh);
    j += lanes;
  }
  for (; j < columns; ++j) multiply_columns<1>(single, a, from(j), c + j, stride, rows, inner, fresh);
}

/// c [rows, columns] = a [rows, inner] b [inner, columns]; inner > 0.
inline void multiply(LeftFactor a, RightFactor b, float* c, int64_t stride, int64_t rows, int64_t inner,
                     int64_t columns, bool fresh = true) {
  for (int64_t k = 0; k < inner; k += inner_block) {
    multiply_part({a.values + k * a.column, a.row, a.column}, {b.values + k * b.stride, b.stride}, c, stride,
                  rows, inner - k < inner_block ? inner - k : inner_block, columns, fresh && k == 0);
  }
}

/// c [rows, columns] += a [rows, inner] b [inner, columns].
inline void add_product(LeftFactor a, RightFactor b, float* c, int64_t stride, int64_t rows, int64_t inner,
                        int64_t columns) {
  multiply(a, b, c, stride, rows, inner, columns, false);
}

/// The sum of a[i] b[i].
inline float dot(const float* a, const float* b, int64_t count) {
  const hn::ScalableTag<float> full;
  const auto lanes = static_cast<int64_t>(hn::Lanes(full));
  // Four sums that do not wait for each other.
  auto first = hn::Zero(full), second = first, third = first, fourth = first;
  const auto add = [&](auto& to, int64_t at)
                       HWY_ATTR { to = hn::MulAdd(hn::LoadU(full, a + at), hn::LoadU(full, b + at), to); };
  int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    add(first, i);
    add(second, i + lanes);
    add(third, i + 2 * lanes);
    add(fourth, i + 3 * lanes);
  }
  for (; i + lanes <= count; i += lanes) add(first, i);
  float sum = hn::GetLane(hn::SumOfLanes(full, hn::Add(hn::Add(first, second), hn::Add(third, fourth))));
  for (; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

/// to = factor * from; they may be the same.
inline void scale(const float* from, float factor, float* to, int64_t count) {
  for_each_vector(count, [&](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(hn::Mul(hn::LoadU(d, from + i), hn::Set(d, factor)), d, to + i);
  });
}

/// to += factor * from.
inline void add_scaled(const float* from, float factor, float* to, int64_t count) {
  for_each_vector(count, [&](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(hn::MulAdd(hn::LoadU(d, from + i), hn::Set(d, factor), hn::LoadU(d, to + i)), d, to + i);
  });
}

/// to *= factors.
inline void times(const float* factors, float* to, int64_t count) {
  for_each_vector(count, [&](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(hn::Mul(hn::LoadU(d, factors + i), hn::LoadU(d, to + i)), d, to + i);
  });
}

/// Four values of four rows at `a` as four columns at `out`.
inline void transpose_block(const float* a, int64_t columns, float* out, int64_t stride) {
#if HWY_TARGET == HWY_SCALAR
  for (int64_t j = 0; j < 4; ++j) {
    for (int64_t i = 0; i < 4; ++i) out[j * stride + i] = a[i * columns + j];
  }
#else
  const hn::Full128<float> d;
  const hn::Full128<double> pairs;
  const auto row = [&](int64_t i) HWY_ATTR { return hn::LoadU(d, a + i * columns); };
  const auto first = row(0), second = row(1), third = row(2), fourth = row(3);
  const auto put = [&](int64_t i, auto above, auto below) HWY_ATTR {
    const auto left = hn::BitCast(pairs, above), right = hn::BitCast(pairs, below);
    hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, left, right)), d, out + i * stride);
    hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, left, right)), d, out + (i + 1) * stride);
  };
  put(0, hn::InterleaveLower(d, first, second), hn::InterleaveLower(d, third, fourth));
  put(2, hn::InterleaveUpper(d, first, second), hn::InterleaveUpper(d, third, fourth));
#endif
}

/// The transpose of a [rows, columns], in rows of `stride` values.
inline void transpose(const float* a, int64_t rows, int64_t columns, float* out, int64_t stride) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    int64_t j = 0;
    for (; j + 4 <= columns; j += 4)
      transpose_block(a + i * columns + j, columns, out + j * stride + i, stride);
    for (; j < columns; ++j) {
      for (int64_t k = i; k < i + 4; ++k) out[j * stride + k] = a[k * columns + j];
    }
  }
  for (; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) out[j * stride + i] = a[i * columns + j];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
