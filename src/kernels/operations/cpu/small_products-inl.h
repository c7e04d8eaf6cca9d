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

/// Adds to `rows` x `vectors` vectors of the result.
template <int rows, int vectors, class D>
HWY_INLINE void add_block(D d, LeftFactor a, RightFactor b, float* c, int64_t stride, int64_t inner) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<D> sums[rows][vectors];
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) sums[r][v] = hn::LoadU(d, c + r * stride + v * lanes);
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
HWY_INLINE void add_columns(D d, LeftFactor a, RightFactor b, float* c, int64_t stride, int64_t rows,
                            int64_t inner) {
  constexpr int together = 4;
  int64_t i = 0;
  for (; i + together <= rows; i += together)
    add_block<together, vectors>(d, {a.values + i * a.row, a.row, a.column}, b, c + i * stride, stride,
                                 inner);
  for (; i < rows; ++i)
    add_block<1, vectors>(d, {a.values + i * a.row, a.row, a.column}, b, c + i * stride, stride, inner);
}

/// c [rows, columns] += a [rows, inner] b [inner, columns].
inline void add_product(LeftFactor a, RightFactor b, float* c, int64_t stride, int64_t rows, int64_t inner,
                        int64_t columns) {
  const hn::ScalableTag<float> full;
  const hn::CappedTag<float, 1> single;
  const auto lanes = static_cast<int64_t>(hn::Lanes(full));
  const auto from = [&](int64_t column) HWY_ATTR { return RightFactor{b.values + column, b.stride}; };
  int64_t j = 0;
  for (; j + 4 * lanes <= columns; j += 4 * lanes)
    add_columns<4>(full, a, from(j), c + j, stride, rows, inner);
  for (; j + lanes <= columns; j += lanes) add_columns<1>(full, a, from(j), c + j, stride, rows, inner);
  for (; j < columns; ++j) add_columns<1>(single, a, from(j), c + j, stride, rows, inner);
}

/// The sum of a[i] b[i].
inline float dot(const float* a, const float* b, int64_t count) {
  const hn::ScalableTag<float> full;
  const auto lanes = static_cast<int64_t>(hn::Lanes(full));
  auto sums = hn::Zero(full);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    sums = hn::MulAdd(hn::LoadU(full, a + i), hn::LoadU(full, b + i), sums);
  float sum = hn::GetLane(hn::SumOfLanes(full, sums));
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

/// The transpose of a [rows, columns], by rows.
inline void transpose(const float* a, int64_t rows, int64_t columns, float* out) {
  constexpr int64_t block = 16;  // so that lines are still in the cache when they are used again
  for (int64_t top = 0; top < rows; top += block) {
    const int64_t bottom = top + block < rows ? top + block : rows;
    for (int64_t j = 0; j < columns; ++j) {
      for (int64_t i = top; i < bottom; ++i) out[j * rows + i] = a[i * columns + j];
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
