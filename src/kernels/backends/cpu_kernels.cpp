#include "kernels/core/device_kernels.h"
#include "kernels/core/parallel.h"
#include "kernels/losses/cpu/softmax_loss_cpu.h"
#include "kernels/operations/cpu/adamw_cpu.h"
#include "kernels/operations/cpu/dropout_cpu.h"
#include "kernels/operations/cpu/glu_cpu.h"
#include "kernels/operations/cpu/head_norm_cpu.h"
#include "kernels/operations/cpu/rms_norm_cpu.h"
#include "kernels/operations/cpu/rope_cpu.h"

namespace lowrank {
namespace {

/// The kernel that computes rows on several threads, each piece of at least `rows_per_piece` rows.
template <typename Task, void (*rows_of)(const Task&, int64_t, int64_t), int64_t rows_per_piece>
int on_threads(const Task& task, int64_t rows, void* /*queue*/) {
  parallel_for(0, rows, rows_per_piece, [&](int64_t begin, int64_t end) { rows_of(task, begin, end); });
  return 0;
}

}  // namespace

const KernelTable& cpu_kernels() {
  static constexpr KernelTable table{
      .rms_norm_forward = on_threads<RmsNormForward, rms_norm_forward_cpu, 16>,
      .rms_norm_backward = on_threads<RmsNormBackward, rms_norm_backward_cpu, 16>,
      .head_norm_forward = on_threads<HeadNormForward, head_norm_forward_cpu, 16>,
      .head_norm_backward = on_threads<HeadNormBackward, head_norm_backward_cpu, 16>,
      .glu_forward = on_threads<GluForward, glu_forward_cpu, 8>,
      .glu_backward = on_threads<GluBackward, glu_backward_cpu, 8>,
      .rotate = on_threads<Rotation, rotate_cpu, 16>,
      .drop = on_threads<DropoutTask, dropout_cpu, 1 << 12>,
      .softmax_loss = on_threads<SoftmaxLoss, softmax_loss_cpu, 4>,
      .adamw_step = on_threads<AdamWTask, adamw_step_cpu, 1 << 14>,
  };
  return table;
}

}  // namespace lowrank
