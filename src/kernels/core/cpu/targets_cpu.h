#pragma once

#include "base/cpu_features.h"

namespace lowrank {

/// Disables, for the kernels of this folder, the Highway targets that need more than `allowed` has.
void restrict_targets_cpu(const CpuFeatures& allowed);

/// The Highway target that their calls currently go to: "AVX3", "AVX2", "NEON", ...
const char* dispatched_target_cpu();

}  // namespace lowrank
