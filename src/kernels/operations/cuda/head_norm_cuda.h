#pragma once

#include <cstdint>

#include "kernels/tasks/norm_tasks.h"

namespace lowrank {

/// As Kernel (kernels/tasks/kernel_table.h).
int head_norm_forward_cuda(const HeadNormForward& op, int64_t rows, void* queue);
int head_norm_backward_cuda(const HeadNormBackward& op, int64_t rows, void* queue);

}  // namespace lowrank
