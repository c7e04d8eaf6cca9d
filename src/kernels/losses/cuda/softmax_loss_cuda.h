#pragma once

#include <cstdint>

#include "kernels/tasks/row_tasks.h"

namespace lowrank {

/// As Kernel (kernels/tasks/kernel_table.h).
int softmax_loss_cuda(const SoftmaxLoss& op, int64_t rows, void* queue);

}  // namespace lowrank
