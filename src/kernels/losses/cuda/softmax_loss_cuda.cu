#include <cmath>

#include "kernels/core/cuda/launch.h"
#include "kernels/core/cuda/row_values.h"
#include "kernels/losses/cuda/softmax_loss_cuda.h"

namespace lowrank {
namespace {

/// cap tanh(logit / cap), or the logit itself without a cap.
__device__ inline float capped(float logit, float cap) {
  return cap > 0 ? cap * tanhf(logit / cap) : logit;
}

/// The sum of exp(x - most) over the values that were added, kept in range as the largest grows.
struct RunningSum {
  float most = -INFINITY, exponentials = 0, values = 0;

  __device__ void add(float x) {
    if (x > most) {
      exponentials *= expf(most - x);
      most = x;
    }
    exponentials += x == most ? 1.0F : expf(x - most);  // both may be minus infinity
    values += x;
  }
};

/// A block is a row, which is read once for the loss and once more for the slopes.
template <typename T>
__global__ void loss_of_row(SoftmaxLoss op) {
  T* row = static_cast<T*>(op.logits) + int64_t{blockIdx.x} * op.width;
  const int64_t target = op.targets[blockIdx.x];
  const float cap = op.form.cap, smoothing = op.form.smoothing;
  const float at_target = capped(widened(row[target]), cap);
  RunningSum own;
  each_of_block<1>(op.width, [&](int64_t i) { own.add(capped(widened(row[i]), cap)); });
  const float most = block_max(own.most);
  // A thread without values has minus infinity as its largest, and nothing to add.
  const float sum = block_sum(own.exponentials == 0 ? 0.0F : own.exponentials * expf(own.most - most));
  const float mean = smoothing > 0 ? block_sum(own.values) / static_cast<float>(op.width) : 0.0F;
  const float expected = smoothing > 0 ? at_target + smoothing * (mean - at_target) : at_target;
  if (threadIdx.x == 0) op.nll[blockIdx.x] = most + logf(sum) - expected;
  if (!op.slopes) return;
  __syncthreads();  // every thread has read the target's logit
  const float even = smoothing / static_cast<float>(op.width);
  each_of_block<1>(op.width, [&](int64_t i) {
    const float x = capped(widened(row[i]), cap);
    float slope = expf(x - most) / sum - even;
    if (i == target) slope -= 1 - smoothing;
    if (cap > 0) slope *= 1 - x / cap * (x / cap);
    row[i] = narrowed<T>(slope);
  });
}

}  // namespace

int softmax_loss_cuda(const SoftmaxLoss& op, int64_t rows, void* queue) {
  return launch(op.bf16 ? loss_of_row<__nv_bfloat16> : loss_of_row<float>, rows, threads_for(op.width, 1024),
                queue, op);
}

}  // namespace lowrank
