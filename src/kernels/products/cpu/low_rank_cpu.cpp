// Products with the factors of all patches at once; the operands of a block of rows stay in the first-level
// cache from one form of thin product to the next.
#include "kernels/products/cpu/low_rank_cpu.h"

#include <algorithm>
#include <array>

#include "kernels/core/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/products/cpu/low_rank_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/products/cpu/thin_products-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

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
