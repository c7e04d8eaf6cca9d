#pragma once

#include "model/checkpoint.h"
#include "peft/files/adapter_file.h"

namespace lowrank {

/// The Frobenius norm of what an adapter adds to the base's weights, from the merged weights W' as the root
/// of the sum of (W' - W)^2; nothing for an adapter that is no change of weights (virtual tokens, layers of
/// its own). It takes the memory of one weight. Errors: interrupted.
std::optional<double> norm_of_update(const Adapter& adapter, const Checkpoint& base);

}  // namespace lowrank
