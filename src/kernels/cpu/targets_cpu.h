#pragma once

#include "base/cpu_features.h"

namespace lowrank {

/// Takes away from the kernels of this folder the Highway targets that need more than `allowed` has.
void restrict_targets_cpu(const CpuFeatures& allowed);

/// The Highway target that their calls go to now: "AVX3", "AVX2", "NEON", ...
const char* dispatched_target_cpu();

}  // namespace lowrank
