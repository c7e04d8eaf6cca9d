#include "kernels/core/cuda/launch.h"
#include "kernels/core/cuda/row_values.h"
#include "kernels/operations/cuda/rms_norm_cuda.h"

namespace lowrank {
namespace {

/// A block is a row.
template <typename Branch, typename Normed, int N>
__global__ void forward_row(RmsNormForward op) {
  const int64_t first = int64_t{blockIdx.x} * op.columns;
  const float* stream = op.stream + first;
  const auto* branch = op.branch ? static_cast<const Branch*>(op.branch) + first : nullptr;
  auto* normed = static_cast<Normed*>(op.normed) + first;
  float squares = 0;
  each_of_block<N>(op.columns, [&](int64_t i) {
    Values<N> x = load<N>(stream + i);
    if (branch) {
      const Values<N> added = load<N>(branch + i);
      for (int k = 0; k < N; ++k) x.at[k] += added.at[k];
      store<N>(x, op.sum + first + i);
    }
    for (int k = 0; k < N; ++k) squares += x.at[k] * x.at[k];
  });
  const float inverse = 1 / sqrtf(block_sum(squares) / static_cast<float>(op.columns) + op.epsilon);
  if (threadIdx.x == 0) op.inverse[blockIdx.x] = inverse;
  const float* sum = branch ? op.sum + first : stream;  // each thread reads what it wrote itself
  each_of_block<N>(op.columns, [&](int64_t i) {
    Values<N> x = load<N>(sum + i);
    const Values<N> weight = load<N>(op.weight + i);
    for (int k = 0; k < N; ++k) x.at[k] *= inverse * weight.at[k];
    store<N>(x, normed + i);
  });
}

template <typename Normed, int N>
__global__ void backward_row(RmsNormBackward op) {
  const int64_t first = int64_t{blockIdx.x} * op.columns;
  const auto* normed = static_cast<const Normed*>(op.normed) + first;
  const auto* d_normed = static_cast<const Normed*>(op.d_normed) + first;
  float products = 0;
  each_of_block<N>(op.columns, [&](int64_t i) {
    const Values<N> n = load<N>(normed + i), g = load<N>(d_normed + i);
    for (int k = 0; k < N; ++k) products += n.at[k] * g.at[k];
  });
  const float inverse = op.inverse[blockIdx.x];
  const float pull = block_sum(products) * inverse / static_cast<float>(op.columns);
  each_of_block<N>(op.columns, [&](int64_t i) {
    const Values<N> n = load<N>(normed + i), g = load<N>(d_normed + i);
    const Values<N> weight = load<N>(op.weight + i), reciprocal = load<N>(op.reciprocal + i);
    Values<N> dx;
    for (int k = 0; k < N; ++k)
      dx.at[k] = g.at[k] * weight.at[k] * inverse - n.at[k] * reciprocal.at[k] * pull;
    if (op.d_sum) {
      const Values<N> d_sum = load<N>(op.d_sum + first + i);
      for (int k = 0; k < N; ++k) dx.at[k] += d_sum.at[k];
    }
    store<N>(dx, op.d_stream + first + i);
    if (op.d_branch) store<N>(dx, reinterpret_cast<__nv_bfloat16*>(op.d_branch) + first + i);
  });
}

template <typename Branch, typename Normed>
int forward_rows(const RmsNormForward& op, int64_t rows, void* queue) {
  if (in_fours(op.columns, {op.stream, op.branch, op.weight, op.sum, op.normed}))
    return launch(forward_row<Branch, Normed, 4>, rows, threads_for(op.columns / 4), queue, op);
  return launch(forward_row<Branch, Normed, 1>, rows, threads_for(op.columns), queue, op);
}

template <typename Normed>
int backward_rows(const RmsNormBackward& op, int64_t rows, void* queue) {
  if (in_fours(op.columns,
               {op.normed, op.d_normed, op.weight, op.reciprocal, op.d_sum, op.d_stream, op.d_branch}))
    return launch(backward_row<Normed, 4>, rows, threads_for(op.columns / 4), queue, op);
  return launch(backward_row<Normed, 1>, rows, threads_for(op.columns), queue, op);
}

}  // namespace

int rms_norm_forward_cuda(const RmsNormForward& op, int64_t rows, void* queue) {
  if (op.branch_bf16)
    return op.normed_bf16 ? forward_rows<__nv_bfloat16, __nv_bfloat16>(op, rows, queue)
                          : forward_rows<__nv_bfloat16, float>(op, rows, queue);
  return op.normed_bf16 ? forward_rows<float, __nv_bfloat16>(op, rows, queue)
                        : forward_rows<float, float>(op, rows, queue);
}

int rms_norm_backward_cuda(const RmsNormBackward& op, int64_t rows, void* queue) {
  return op.normed_bf16 ? backward_rows<__nv_bfloat16>(op, rows, queue)
                        : backward_rows<float>(op, rows, queue);
}

}  // namespace lowrank
