#pragma once

#include <cstdint>

#include "kernels/tasks/norm_tasks.h"

namespace lowrank {

/// Rows [begin, end) of the task.
void rms_norm_forward_cpu(const RmsNormForward& op, int64_t begin, int64_t end);
void rms_norm_backward_cpu(const RmsNormBackward& op, int64_t begin, int64_t end);

}  // namespace lowrank
