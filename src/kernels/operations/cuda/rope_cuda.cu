#include "kernels/core/cuda/launch.h"
#include "kernels/core/cuda/row_values.h"
#include "kernels/operations/cuda/row_operations_cuda.h"

namespace lowrank {
namespace {

/// A block is a row.
template <typename T>
__global__ void rotate_row(Rotation op) {
  const T* in = static_cast<const T*>(op.in) + int64_t{blockIdx.x} * op.columns;
  T* out = static_cast<T*>(op.out) + int64_t{blockIdx.x} * op.columns;
  const float* cosines = op.cos + int64_t{blockIdx.x} * op.half;
  const float* sines = op.sin + int64_t{blockIdx.x} * op.half;
  const auto half = static_cast<int>(op.half), head_dim = static_cast<int>(op.head_dim);
  const auto rotated = static_cast<int>(op.rotated);
  each_of_block<1>(rotated * half, [&](int64_t pair) {
    const int head = static_cast<int>(pair) / half, i = static_cast<int>(pair) % half;
    const int first = head * head_dim + (op.adjacent ? 2 * i : i);
    const int second = op.adjacent ? first + 1 : first + half;
    const float a = widened(in[first]), b = widened(in[second]);
    const float cosine = cosines[i], sine = sines[i] * op.sign;
    out[first] = narrowed<T>(a * cosine - b * sine);
    out[second] = narrowed<T>(a * sine + b * cosine);
  });
  const int rest = head_dim - 2 * half;
  each_of_block<1>(rotated * rest, [&](int64_t i) {
    const int at = static_cast<int>(i) / rest * head_dim + 2 * half + static_cast<int>(i) % rest;
    out[at] = in[at];
  });
  const int64_t done = op.rotated * op.head_dim;
  each_of_block<1>(op.columns - done, [&](int64_t i) { out[done + i] = in[done + i]; });
}

}  // namespace

int rotate_cuda(const Rotation& op, int64_t rows, void* queue) {
  return launch(op.bf16 ? rotate_row<__nv_bfloat16> : rotate_row<float>, rows,
                threads_for(op.rotated * op.half, 256), queue, op);
}

}  // namespace lowrank
