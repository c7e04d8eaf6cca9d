#include "kernels/core/cuda/launch.h"
#include "kernels/core/cuda/row_values.h"
#include "kernels/operations/cuda/head_norm_cuda.h"

namespace lowrank {
namespace {

constexpr unsigned warps_per_block = 4;

/// A head of a row; each warp has one.
struct Head {
  int64_t first;        ///< its first value in qkv
  const float* weight;  ///< null: its values are copied

  static __device__ int64_t number() {
    return int64_t{blockIdx.x} * warps_per_block + threadIdx.x / warp_size;
  }
  __device__ explicit Head(const HeadNorm& op) {
    const int64_t in_row = op.columns / op.head_dim;
    const int64_t row = number() / in_row, head = number() % in_row;
    first = row * op.columns + head * op.head_dim;
    weight = head < op.heads ? op.query_weight : head < op.heads + op.kv_heads ? op.key_weight : nullptr;
  }
};

template <typename Step>
__device__ void each_of_warp(int64_t columns, const Step& step) {
  for (int64_t i = threadIdx.x % warp_size; i < columns; i += warp_size) step(i);
}

template <typename T>
__global__ void forward_heads(HeadNormForward op, int64_t heads) {
  if (Head::number() >= heads) return;  // whole warps
  const Head head(op.norm);
  const T* x = static_cast<const T*>(op.norm.qkv) + head.first;
  T* out = static_cast<T*>(op.out) + head.first;
  if (!head.weight) {
    each_of_warp(op.norm.head_dim, [&](int64_t i) { out[i] = x[i]; });
    return;
  }
  float squares = 0;
  each_of_warp(op.norm.head_dim, [&](int64_t i) { squares += widened(x[i]) * widened(x[i]); });
  const float mean = warp_sum(squares) / static_cast<float>(op.norm.head_dim);
  const float inverse = 1 / sqrtf(mean + op.norm.epsilon);
  each_of_warp(op.norm.head_dim,
               [&](int64_t i) { out[i] = narrowed<T>(widened(x[i]) * inverse * head.weight[i]); });
}

template <typename T>
__global__ void backward_heads(HeadNormBackward op, int64_t heads) {
  if (Head::number() >= heads) return;
  const Head head(op.norm);
  const T* x = static_cast<const T*>(op.norm.qkv) + head.first;
  const T* dy = static_cast<const T*>(op.d_out) + head.first;
  T* dx = static_cast<T*>(op.d_qkv) + head.first;
  if (!head.weight) {
    each_of_warp(op.norm.head_dim, [&](int64_t i) { dx[i] = dy[i]; });
    return;
  }
  float squares = 0, products = 0;
  each_of_warp(op.norm.head_dim, [&](int64_t i) {
    const float value = widened(x[i]);
    squares += value * value;
    products += value * widened(dy[i]) * head.weight[i];
  });
  const auto count = static_cast<float>(op.norm.head_dim);
  const float inverse = 1 / sqrtf(warp_sum(squares) / count + op.norm.epsilon);
  const float pull = warp_sum(products) * inverse * inverse * inverse / count;
  each_of_warp(op.norm.head_dim, [&](int64_t i) {
    dx[i] = narrowed<T>(widened(dy[i]) * head.weight[i] * inverse - widened(x[i]) * pull);
  });
}

template <typename Task>
int launch_heads(void (*kernel)(Task, int64_t), const Task& op, int64_t rows, void* queue) {
  const int64_t heads = rows * (op.norm.columns / op.norm.head_dim);
  return launch(kernel, (heads + warps_per_block - 1) / warps_per_block, warps_per_block * warp_size, queue,
                op, heads);
}

}  // namespace

int head_norm_forward_cuda(const HeadNormForward& op, int64_t rows, void* queue) {
  return launch_heads(op.norm.bf16 ? forward_heads<__nv_bfloat16> : forward_heads<float>, op, rows, queue);
}

int head_norm_backward_cuda(const HeadNormBackward& op, int64_t rows, void* queue) {
  return launch_heads(op.norm.bf16 ? backward_heads<__nv_bfloat16> : backward_heads<float>, op, rows, queue);
}

}  // namespace lowrank
