#include "support/stand_in_kernels.h"

#include "kernels/backends/cuda/cuda_kernels.h"

namespace lowrank::test {
namespace {

/// The kernel that stands at a place of the table.
template <typename Task, Kernel<Task> KernelTable::*place>
int with_memory(const Task& task, int64_t rows, void* queue) {
  return with_open_memory([&] { return (cuda_kernels().*place)(task, rows, queue); });
}

}  // namespace

const KernelTable& stand_in_kernels() {
  using Table = KernelTable;
  static constexpr KernelTable table{
      .rms_norm_forward = with_memory<RmsNormForward, &Table::rms_norm_forward>,
      .rms_norm_backward = with_memory<RmsNormBackward, &Table::rms_norm_backward>,
      .head_norm_forward = with_memory<HeadNormForward, &Table::head_norm_forward>,
      .head_norm_backward = with_memory<HeadNormBackward, &Table::head_norm_backward>,
      .glu_forward = with_memory<GluForward, &Table::glu_forward>,
      .glu_backward = with_memory<GluBackward, &Table::glu_backward>,
      .rotate = with_memory<Rotation, &Table::rotate>,
      .drop = with_memory<DropoutTask, &Table::drop>,
      .softmax_loss = with_memory<SoftmaxLoss, &Table::softmax_loss>,
      .adamw_step = with_memory<AdamWTask, &Table::adamw_step>,
      .expand_blocks = with_memory<ExpandBlocks, &Table::expand_blocks>,
      .expand_nf4 = with_memory<ExpandNf4, &Table::expand_nf4>,
  };
  return table;
}

}  // namespace lowrank::test
