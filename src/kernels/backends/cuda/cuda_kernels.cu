#include <string_view>

#include "kernels/backends/cuda/cuda_kernels.h"
#include "kernels/blocks/cuda/expand_blocks_cuda.h"
#include "kernels/losses/cuda/softmax_loss_cuda.h"
#include "kernels/operations/cuda/adamw_cuda.h"
#include "kernels/operations/cuda/head_norm_cuda.h"
#include "kernels/operations/cuda/rms_norm_cuda.h"
#include "kernels/operations/cuda/row_operations_cuda.h"

namespace lowrank {

const KernelTable& cuda_kernels() {
  static constexpr KernelTable table{
      .rms_norm_forward = rms_norm_forward_cuda,
      .rms_norm_backward = rms_norm_backward_cuda,
      .head_norm_forward = head_norm_forward_cuda,
      .head_norm_backward = head_norm_backward_cuda,
      .glu_forward = glu_forward_cuda,
      .glu_backward = glu_backward_cuda,
      .rotate = rotate_cuda,
      .drop = dropout_cuda,
      .softmax_loss = softmax_loss_cuda,
      .adamw_step = adamw_step_cuda,
      .expand_blocks = expand_blocks_cuda,
      .expand_nf4 = expand_nf4_cuda,
  };
  return table;
}

}  // namespace lowrank

const lowrank::KernelTable* lowrank_cuda_kernels(const char* version, size_t table_bytes) {
  const bool fits =
      std::string_view(version) == LOWRANK_VERSION && table_bytes == sizeof(lowrank::KernelTable);
  return fits ? &lowrank::cuda_kernels() : nullptr;
}
