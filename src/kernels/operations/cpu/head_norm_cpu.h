#pragma once

#include <cstdint>

#include "kernels/tasks/norm_tasks.h"

namespace lowrank {

/// Rows [begin, end) of the task.
void head_norm_forward_cpu(const HeadNormForward& op, int64_t begin, int64_t end);
void head_norm_backward_cpu(const HeadNormBackward& op, int64_t begin, int64_t end);

}  // namespace lowrank
