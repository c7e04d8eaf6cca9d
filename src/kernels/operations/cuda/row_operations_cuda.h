#pragma once

#include <cstdint>

#include "kernels/tasks/row_tasks.h"

namespace lowrank {

/// As Kernel (kernels/tasks/kernel_table.h).
int glu_forward_cuda(const GluForward& op, int64_t rows, void* queue);
int glu_backward_cuda(const GluBackward& op, int64_t rows, void* queue);
int rotate_cuda(const Rotation& op, int64_t rows, void* queue);
int dropout_cuda(const DropoutTask& op, int64_t groups, void* queue);

}  // namespace lowrank
