#pragma once

namespace lowrank {

/// Call it once, before any other computation, as main() does: sets the numeric libraries' defaults
/// (base/process.h), adapts how threads wait to the machine (kernels/core/thread_waits.h) and limits our own
/// kernels to cpu_features(), that is to the environment variable LOWRANK_CPU. Errors: invalid for a wrong
/// LOWRANK_CPU.
void prepare_kernels();

}  // namespace lowrank
