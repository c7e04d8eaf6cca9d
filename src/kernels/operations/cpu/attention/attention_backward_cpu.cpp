#include <algorithm>

#include <hwy/aligned_allocator.h>

#include "kernels/core/cpu/highway_targets.h"
#include "kernels/core/parallel.h"
#include "kernels/operations/cpu/attention_cpu.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/operations/cpu/attention/attention_backward_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/operations/cpu/attention/attention_backward_f32-inl.h"
#include "kernels/operations/cpu/attention/attention_backward_pairs-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// One chunk and key head: all its query gradients, and the key gradients summed over its queries.
template <class T, class Products>
void backward_task(const BackwardTask& task) {
  const AttentionShape& shape = task.operands.shape;
  const int64_t d = shape.head_dim, dp = round_up(d);
  const float key_factor = Products::key_factor(shape);
  float* dk = task.scratch;
  float* dv = dk + task.chunk.sum_rows * dp;
  clear(dk, 2 * task.chunk.sum_rows * dp);
  for (int64_t b = 0; b < task.chunk.blocks; ++b)
    backward_block<T, Products>(task, task.schedule.blocks[task.chunk.first_block + b]);
  for (const KeyPiece& piece : task.chunk.pieces) {
    const MutableRows to_k = task.gradients.dk[piece.source], to_v = task.gradients.dv[piece.source];
    for (int64_t i = 0; i < piece.count; ++i) {
      const float* row_k = dk + (piece.at + i) * dp;
      const float* row_v = dv + (piece.at + i) * dp;
      if (piece.shared < 0) {
        write_row(row_k, d, key_factor,
                  static_cast<T*>(to_k.data) + (piece.begin + i) * to_k.stride + task.kv_head * d);
        write_row(row_v, d, 1.0f,
                  static_cast<T*>(to_v.data) + (piece.begin + i) * to_v.stride + task.kv_head * d);
      } else {
        float* to = task.partial + ((piece.shared + i) * shape.kv_heads + task.kv_head) * 2 * dp;
        copy_row(row_k, dp, key_factor, to);
        copy_row(row_v, dp, 1.0f, to + dp);
      }
    }
  }
}

/// Adds the partial sums of one shared row in a fixed order and writes them.
template <class T>
void write_shared_row(const BackwardTask& task, const SharedRows& shared, int64_t i, float* sum) {
  const AttentionShape& shape = task.operands.shape;
  const int64_t d = shape.head_dim, dp = round_up(d);
  const MutableRows to_k = task.gradients.dk[shared.source], to_v = task.gradients.dv[shared.source];
  for (int64_t head = 0; head < shape.kv_heads; ++head) {
    clear(sum, 2 * dp);
    for (const int64_t part : shared.parts) {
      const float* from = task.partial + ((part + i) * shape.kv_heads + head) * 2 * dp;
      for (int64_t c = 0; c < 2 * dp; c += lanes) store(hn::Add(load(sum + c), load(from + c)), sum + c);
    }
    write_row(sum, d, 1.0f, static_cast<T*>(to_k.data) + (shared.begin + i) * to_k.stride + head * d);
    write_row(sum + dp, d, 1.0f, static_cast<T*>(to_v.data) + (shared.begin + i) * to_v.stride + head * d);
  }
}

template <class T, class Products>
void backward_with(const AttentionOperands& operands, const AttentionGradients& gradients,
                   const BackwardSchedule& schedule) {
  const AttentionShape& shape = operands.shape;
  const int64_t heads = shape.kv_heads, dp = round_up(shape.head_dim);
  std::vector<int64_t> work;
  int64_t longest = 0, sum_rows = 0;
  for (const QueryBlock& block : schedule.blocks) longest = std::max(longest, block.count);
  for (const QueryChunk& chunk : schedule.chunks) {
    work.push_back(chunk.work);
    sum_rows = std::max(sum_rows, chunk.sum_rows);
  }
  const std::vector<int64_t> order = largest_first(work);
  const int64_t floats = round_up(
      std::max(backward_scratch(shape, longest, sum_rows), pair_backward_scratch(shape, longest, sum_rows)));
  const auto scratch = hwy::AllocateAligned<float>(floats * thread_count());
  const auto partial =
      hwy::AllocateAligned<float>(std::max<int64_t>(1, schedule.partial_rows * heads * 2 * dp));
  const auto task_of = [&](int64_t chunk, int64_t head) {
    return BackwardTask{operands,     gradients,
                        schedule,     schedule.chunks[chunk],
                        head,         scratch.get() + thread_index() * floats,
                        partial.get()};
  };
  parallel_tasks(static_cast<int64_t>(schedule.chunks.size()) * heads,
                 [&](int64_t i) { backward_task<T, Products>(task_of(order[i / heads], i % heads)); });
  for (const SharedRows& shared : schedule.shared) {
    parallel_for(0, shared.count, 32, [&](int64_t first, int64_t last) {
      const BackwardTask task = task_of(0, 0);
      for (int64_t i = first; i < last; ++i) write_shared_row<T>(task, shared, i, task.scratch);
    });
  }
}

void backward(const AttentionOperands& operands, const AttentionGradients& gradients,
              const BackwardSchedule& schedule) {
  if (!operands.bf16) return backward_with<float, F32Backward<float>>(operands, gradients, schedule);
  if constexpr (HWY_TARGET == HWY_AVX3) {
    if (has_pair_products(operands))
      return backward_with<uint16_t, PairBackward>(operands, gradients, schedule);
  }
  backward_with<uint16_t, F32Backward<uint16_t>>(operands, gradients, schedule);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(backward);

void attention_backward_cpu(const AttentionOperands& operands, const AttentionGradients& gradients,
                            const BackwardSchedule& schedule) {
  HWY_DYNAMIC_DISPATCH(backward)(operands, gradients, schedule);
}

int64_t backward_block_rows(const AttentionShape& shape) {
  return std::max<int64_t>(1, 192 / (shape.heads / shape.kv_heads));
}

}  // namespace lowrank
#endif
