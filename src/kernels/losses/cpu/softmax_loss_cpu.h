#pragma once

#include <cstdint>

#include "kernels/tasks/row_tasks.h"

namespace lowrank {

/// Rows [begin, end) of the task.
void softmax_loss_cpu(const SoftmaxLoss& op, int64_t begin, int64_t end);

}  // namespace lowrank
