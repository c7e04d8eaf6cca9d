#include <algorithm>

#include <hwy/aligned_allocator.h>

#include "kernels/core/cpu/highway_targets.h"
#include "kernels/core/parallel.h"
#include "kernels/operations/cpu/attention_cpu.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/operations/cpu/attention/attention_forward_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/operations/cpu/attention/attention_forward_f32-inl.h"
#include "kernels/operations/cpu/attention/attention_forward_pairs-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

constexpr int64_t block_rows = 192;

/// Attention of one task; Products computes with packed keys, at most key_block at a time.
template <class T, class Products>
void forward_task(const ForwardTask& task) {
  const AttentionOperands& operands = task.operands;
  const int64_t d = operands.shape.head_dim;
  Products products(task);
  // Runs with consecutive positions (a shared prefix and what follows it) form one block of keys.
  int64_t packed = 0, first = 0;
  const auto add_packed = [&] {
    if (packed > 0) products.add(first, packed);
    packed = 0;
  };
  for (int64_t i = 0; i < task.block.key_runs; ++i) {
    const KeyRun& run = operands.plan->keys[task.block.first_key_run + i];
    const Range seen =
        visible_keys(operands.shape, task.block.position, task.block.position + task.block.count - 1,
                     run.first_position, run.count);
    const ConstRows k = operands.k[run.source], v = operands.v[run.source];
    for (int64_t at = seen.begin, n = 0; at < seen.end; at += n) {
      const int64_t row = run.begin + at, position = run.first_position + at;
      const T* keys = static_cast<const T*>(k.data) + row * k.stride + task.kv_head * d;
      const T* values = static_cast<const T*>(v.data) + row * v.stride + task.kv_head * d;
      if (packed == key_block || (packed > 0 && position != first + packed)) add_packed();
      if (packed == 0) first = position;
      n = std::min(key_block - packed, seen.end - at);
      products.take(keys, k.stride, values, v.stride, n, packed);
      packed += n;
    }
  }
  add_packed();
  end_rows<T>(task, products.p);
}

template <class T>
void forward_typed(const ForwardTask& task) {
  const AttentionShape& shape = task.operands.shape;
  const bool few = task.block.count * (shape.heads / shape.kv_heads) <= tile_rows;
  if (few && shape.head_dim % lanes == 0) return forward_few<T>(task);
  if constexpr (HWY_TARGET == HWY_AVX3 && sizeof(T) == sizeof(uint16_t)) {
    if (has_pair_products(task.operands)) return forward_task<T, PairForward>(task);
  }
  forward_task<T, F32Forward<T>>(task);
}

void forward(const AttentionOperands& operands, MutableRows out, float* lse) {
  const AttentionShape& shape = operands.shape;
  const int64_t group = shape.heads / shape.kv_heads;
  const auto blocks = query_blocks(*operands.plan, shape, std::max<int64_t>(1, block_rows / group));
  std::vector<int64_t> work;
  int64_t longest = 0;
  for (const QueryBlock& block : blocks) {
    work.push_back(block.work);
    longest = std::max(longest, block.count);
  }
  const std::vector<int64_t> order = largest_first(work);
  const int64_t floats =
      round_up(std::max(forward_scratch(shape, longest), pair_forward_scratch(shape, longest)));
  const auto scratch = hwy::AllocateAligned<float>(floats * thread_count());
  const auto run = operands.bf16 ? forward_typed<uint16_t> : forward_typed<float>;
  parallel_tasks(static_cast<int64_t>(blocks.size()) * shape.kv_heads, [&](int64_t i) {
    run({operands, blocks[order[i / shape.kv_heads]], i % shape.kv_heads, out, lse,
         scratch.get() + thread_index() * floats});
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(forward);

void attention_forward_cpu(const AttentionOperands& operands, MutableRows out, float* lse) {
  HWY_DYNAMIC_DISPATCH(forward)(operands, out, lse);
}

}  // namespace lowrank
#endif
