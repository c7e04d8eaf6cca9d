#pragma once

#include <string>
#include <vector>

#include "kernels/core/op_profile.h"

namespace lowrank {

/// The operations that took at least a thousandth of `seconds`, longest first, as lines of a table with a
/// heading: name, calls and milliseconds per step, share of `seconds`, GFLOP/s of matrix products. `seconds`:
/// of all `steps` together; the last line has what no operation accounts for.
std::vector<std::string> profile_table(const OpProfile& profile, int64_t steps, double seconds);

}  // namespace lowrank
