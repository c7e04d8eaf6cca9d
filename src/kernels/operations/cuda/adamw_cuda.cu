#include "kernels/core/cuda/launch.h"
#include "kernels/operations/cuda/adamw_cuda.h"

namespace lowrank {
namespace {

constexpr unsigned threads_per_block = 256;

/// A thread is a value.
__global__ void step_value(AdamWTask op, int64_t values) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= values) return;
  const AdamWStep& step = op.step;
  const float g = op.gradient[i] * step.factor;
  const float m = op.m[i] + step.rest1 * (g - op.m[i]);
  const float v = step.beta2 * op.v[i] + step.rest2 * (g * g);
  const float change = m / (sqrtf(v) * step.inverse_root + step.epsilon);
  op.m[i] = m;
  op.v[i] = v;
  op.parameters[i] = op.parameters[i] * step.decay - step.rate * change;
}

}  // namespace

int adamw_step_cuda(const AdamWTask& op, int64_t values, void* queue) {
  return launch(step_value, (values + threads_per_block - 1) / threads_per_block, threads_per_block, queue,
                op, values);
}

}  // namespace lowrank
