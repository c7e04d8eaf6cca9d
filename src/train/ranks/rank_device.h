#pragma once

#include <string>
#include <string_view>

#include "train/ranks/rank_place.h"

namespace lowrank {

/// The device of one of several processes: `cuda` is the GPU with the number of the process among those of
/// its machine. Errors: invalid for `cuda:N` where several processes of a machine would share that GPU.
std::string device_of_rank(std::string_view device, const RankPlace& place);

/// Loads the GPU's libraries if the device is one. Errors: invalid where the machine has fewer GPUs than
/// processes, the same sentence on all of them; as device_named (kernels/core/device.h).
void check_rank_device(std::string_view device, const RankPlace& place);

}  // namespace lowrank
