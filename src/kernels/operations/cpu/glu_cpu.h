#pragma once

#include <cstdint>

#include "kernels/tasks/row_tasks.h"

namespace lowrank {

/// Rows [begin, end) of the task.
void glu_forward_cpu(const GluForward& op, int64_t begin, int64_t end);
void glu_backward_cpu(const GluBackward& op, int64_t begin, int64_t end);

}  // namespace lowrank
