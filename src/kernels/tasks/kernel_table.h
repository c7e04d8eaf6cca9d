#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/tasks/adamw_task.h"
#include "kernels/tasks/block_tasks.h"
#include "kernels/tasks/norm_tasks.h"
#include "kernels/tasks/row_tasks.h"

namespace lowrank {

/// Computes all `rows` of a task where its operands lie. `queue` is the device's own (a cudaStream_t), on
/// which the work is only enqueued; null on the CPU, where it is done when the call returns. Returns 0 or the
/// device's error code.
template <typename Task>
using Kernel = int (*)(const Task& task, int64_t rows, void* queue);

/// The kernels of one kind of device. Where one is null, the operation is computed by libtorch's.
struct KernelTable {
  Kernel<RmsNormForward> rms_norm_forward = nullptr;
  Kernel<RmsNormBackward> rms_norm_backward = nullptr;
  Kernel<HeadNormForward> head_norm_forward = nullptr;
  Kernel<HeadNormBackward> head_norm_backward = nullptr;
  Kernel<GluForward> glu_forward = nullptr;
  Kernel<GluBackward> glu_backward = nullptr;
  Kernel<Rotation> rotate = nullptr;
  Kernel<DropoutTask> drop = nullptr;  ///< rows are groups of four values
  Kernel<SoftmaxLoss> softmax_loss = nullptr;
  Kernel<AdamWTask> adamw_step = nullptr;
  Kernel<ExpandBlocks> expand_blocks = nullptr;  ///< the CPU's are in formats/
  Kernel<ExpandNf4> expand_nf4 = nullptr;
};

/// The one function of a library of kernels, `cuda_kernels_entry`: null unless they are of this version of
/// the program and its table has this size.
using CudaKernelsEntry = const KernelTable* (*)(const char* version, size_t table_bytes);
inline constexpr const char* cuda_kernels_entry = "lowrank_cuda_kernels";

}  // namespace lowrank
