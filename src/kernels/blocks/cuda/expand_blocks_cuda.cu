#include <bit>

#include "kernels/blocks/cuda/block_values.h"
#include "kernels/blocks/cuda/expand_blocks_cuda.h"
#include "kernels/core/cuda/launch.h"
#include "kernels/core/cuda/row_values.h"
#include "kernels/tasks/nf4_codes.h"

namespace lowrank {
namespace {

constexpr unsigned threads_per_block = 256;
constexpr int64_t values_per_thread = 4;
/// CUDA's own code for an argument that a function does not take.
constexpr int invalid_value = 1;

/// A thread is four neighbouring values.
template <typename Format, typename T>
__global__ void expand_format(ExpandBlocks op, int64_t fours) {
  const int64_t number = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (number >= fours) return;
  const int64_t value = number * values_per_thread, row = value / op.columns, column = value % op.columns;
  const uint8_t* block = op.blocks + row * op.row_bytes + column / Format::values * Format::bytes;
  const auto first = static_cast<int>(column % Format::values);
  Values<4> values;
  for (int i = 0; i < 4; ++i) values.at[i] = Format::value(block, first + i);
  store<4>(values, static_cast<T*>(op.out) + value);
}

template <typename Format>
int expand(const ExpandBlocks& op, int64_t rows, void* queue) {
  const int64_t fours = rows * op.columns / values_per_thread;
  return launch(op.bf16 ? expand_format<Format, __nv_bfloat16> : expand_format<Format, float>,
                (fours + threads_per_block - 1) / threads_per_block, threads_per_block, queue, op, fours);
}

/// A thread is a value.
template <typename T>
__global__ void expand_nf4_value(ExpandNf4 op, int64_t values) {
  constexpr int64_t block_size = 64, scale_block_size = 256;
  const int64_t number = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (number >= values) return;
  const int64_t i = op.first + number, block = i / block_size;
  const float scale =
      op.scale_code[op.scale_indices[block]] * op.scale_scales[block / scale_block_size] + op.offset;
  const int index = i % 2 == 0 ? op.packed[i / 2] >> 4 : op.packed[i / 2] & 15;
  static_cast<T*>(op.out)[number] = narrowed<T>(nf4_codes()[index] * scale);
}

}  // namespace

int expand_blocks_cuda(const ExpandBlocks& op, int64_t rows, void* queue) {
  switch (op.dtype) {
    case DType::q4_0:
      return expand<Q4_0>(op, rows, queue);
    case DType::q4_1:
      return expand<Q4_1>(op, rows, queue);
    case DType::q5_0:
      return expand<Q5_0>(op, rows, queue);
    case DType::q5_1:
      return expand<Q5_1>(op, rows, queue);
    case DType::q8_0:
      return expand<Q8_0>(op, rows, queue);
    case DType::q2_k:
      return expand<Q2_K>(op, rows, queue);
    case DType::q3_k:
      return expand<Q3_K>(op, rows, queue);
    case DType::q4_k:
      return expand<Q4_K>(op, rows, queue);
    case DType::q5_k:
      return expand<Q5_K>(op, rows, queue);
    case DType::q6_k:
      return expand<Q6_K>(op, rows, queue);
    case DType::iq4_nl:
      return expand<Iq4_Nl>(op, rows, queue);
    case DType::iq4_xs:
      return expand<Iq4_Xs>(op, rows, queue);
    case DType::mxfp4:
      return expand<Mxfp4>(op, rows, queue);
    default:
      return invalid_value;
  }
}

int expand_nf4_cuda(const ExpandNf4& op, int64_t values, void* queue) {
  return launch(op.bf16 ? expand_nf4_value<__nv_bfloat16> : expand_nf4_value<float>,
                (values + threads_per_block - 1) / threads_per_block, threads_per_block, queue, op, values);
}

}  // namespace lowrank
