#pragma once

#include <string>
#include <vector>

#include "kernels/op_profile.h"

namespace lowrank {

/// The operations that took at least a thousandth of `seconds`, the longest first, as lines for people: name,
/// calls and milliseconds a step, share of `seconds`, GFLOP/s of matrix products. `seconds`: of all `steps`
/// together; what no operation accounts for stands in the last line.
std::vector<std::string> profile_table(const OpProfile& profile, int64_t steps, double seconds);

}  // namespace lowrank
