#pragma once

#include <cstdint>

#include "kernels/tasks/adamw_task.h"

namespace lowrank {

/// As Kernel (kernels/tasks/kernel_table.h).
int adamw_step_cuda(const AdamWTask& op, int64_t values, void* queue);

}  // namespace lowrank
