#include "kernels/blocks/cpu/exact_rows_cpu.h"

#include "kernels/core/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/blocks/cpu/exact_rows_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/core/cpu/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// Rows of x that one load of w serves.
constexpr int rows_together = 4;

template <int rows>
void exact_rows(const float* w, const float* x, int64_t columns, float* out) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  float rest[rows] = {};
  const int64_t whole = columns / lanes * lanes;
  for (int64_t i = whole; i < columns; ++i) {
    for (int t = 0; t < rows; ++t) rest[t] += w[i] * x[t * columns + i];
  }
  auto first = hn::Zero(d), second = hn::Zero(d), third = hn::Zero(d), fourth = hn::Zero(d);
  for (int64_t i = 0; i < whole; i += lanes) {
    const auto own = hn::LoadU(d, w + i);
    first = hn::MulAdd(own, hn::LoadU(d, x + i), first);
    if constexpr (rows == rows_together) {
      second = hn::MulAdd(own, hn::LoadU(d, x + columns + i), second);
      third = hn::MulAdd(own, hn::LoadU(d, x + 2 * columns + i), third);
      fourth = hn::MulAdd(own, hn::LoadU(d, x + 3 * columns + i), fourth);
    }
  }
  out[0] = rest[0] + hn::GetLane(hn::SumOfLanes(d, first));
  if constexpr (rows == rows_together) {
    out[1] = rest[1] + hn::GetLane(hn::SumOfLanes(d, second));
    out[2] = rest[2] + hn::GetLane(hn::SumOfLanes(d, third));
    out[3] = rest[3] + hn::GetLane(hn::SumOfLanes(d, fourth));
  }
}

void exact_row(const float* w, const float* x, int64_t rows, int64_t columns, float* out) {
  int64_t row = 0;
  for (; row + rows_together <= rows; row += rows_together)
    exact_rows<rows_together>(w, x + row * columns, columns, out + row);
  for (; row < rows; ++row) exact_rows<1>(w, x + row * columns, columns, out + row);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(exact_row);

void exact_row_cpu(const float* w, const float* x, int64_t rows, int64_t columns, float* out) {
  HWY_DYNAMIC_DISPATCH(exact_row)(w, x, rows, columns, out);
}

}  // namespace lowrank
#endif
