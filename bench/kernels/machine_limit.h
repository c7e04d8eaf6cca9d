#pragma once

#include <functional>
#include <string>

#include "kernel_case.h"

namespace lowrank {

/// Spends what the machine needs at least for `work`, on all threads: copies half of its bytes to the other
/// half, or runs its FLOPs as multiply-adds that stay in registers. The bytes are in whatever cache they fit
/// into, as those of the measured kernel are.
std::function<void()> at_limit(Work work);

/// For people and for results files: processor features and threads.
std::string machine_description();

}  // namespace lowrank
