#pragma once

#include <cstdint>

#include "kernels/tasks/norm_tasks.h"

namespace lowrank {

/// As Kernel (kernels/tasks/kernel_table.h).
int rms_norm_forward_cuda(const RmsNormForward& op, int64_t rows, void* queue);
int rms_norm_backward_cuda(const RmsNormBackward& op, int64_t rows, void* queue);

}  // namespace lowrank
