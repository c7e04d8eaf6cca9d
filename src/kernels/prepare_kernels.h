#pragma once

namespace lowrank {

/// Call it before anything else that computes, once, as main() does: sets the numeric libraries' defaults
/// (base/process.h), lets threads wait as the machine allows (kernels/thread_waits.h) and holds our own
/// kernels to cpu_features(), that is to the environment variable LOWRANK_CPU. A wrong value of that is an
/// Error.
void prepare_kernels();

}  // namespace lowrank
