#pragma once

#include <cstdint>

#include "kernels/tasks/row_tasks.h"

namespace lowrank {

/// Groups [begin, end) of four values of the task.
void dropout_cpu(const DropoutTask& op, int64_t begin, int64_t end);

}  // namespace lowrank
