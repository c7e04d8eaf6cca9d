#pragma once

#include <cstdint>

#include "kernels/tasks/adamw_task.h"

namespace lowrank {

/// Values [begin, end) of the task; each one's result does not depend on its place in the vectors.
void adamw_step_cpu(const AdamWTask& op, int64_t begin, int64_t end);

/// Sum of squares in f64: value i goes into partial sum i mod 32, then those are added in order; the same on
/// every target.
double squared_norm_cpu(const float* values, int64_t count);

}  // namespace lowrank
