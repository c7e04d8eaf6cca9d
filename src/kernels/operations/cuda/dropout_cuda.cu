#include "base/rng.h"
#include "kernels/core/cuda/launch.h"
#include "kernels/core/cuda/row_values.h"
#include "kernels/operations/cuda/row_operations_cuda.h"

namespace lowrank {
namespace {

constexpr unsigned threads_per_block = 128;

/// A thread is a group of four values.
template <typename T>
__global__ void drop_group(DropoutTask op, int64_t groups) {
  const int64_t group = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (group >= groups) return;
  const auto counter = static_cast<uint64_t>(group);
  const auto draws =
      philox(op.mask.seed, {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0});
  const T* in = static_cast<const T*>(op.in) + group * 4;
  T* out = static_cast<T*>(op.out) + group * 4;
  const int64_t count = min(int64_t{4}, op.values - group * 4);
  for (int i = 0; i < count; ++i)
    out[i] = narrowed<T>(draws[i] >= op.mask.threshold ? widened(in[i]) * op.mask.kept : 0.0F);
}

}  // namespace

int dropout_cuda(const DropoutTask& op, int64_t groups, void* queue) {
  return launch(op.bf16 ? drop_group<__nv_bfloat16> : drop_group<float>,
                (groups + threads_per_block - 1) / threads_per_block, threads_per_block, queue, op, groups);
}

}  // namespace lowrank
