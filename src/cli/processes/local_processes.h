#pragma once

#include <cstdint>

namespace lowrank {

/// Runs this program with the same arguments in `count` processes on this machine, each with torchrun's
/// variables in its environment, and keeps the store through which they meet. Where the machine's memory is
/// in several parts, each is bound to the processors beside one (memory_nodes.h). Waits for them: an
/// interrupt is passed on; when one fails, the others are told which, and those that do not end by themselves
/// within half a minute are ended. Returns the exit code of rank 0 or, if that is 0, the first other one that
/// is not; 128 + signal for a process that a signal has ended. Errors: io when a process cannot be started.
int run_local_processes(int64_t count);

/// In a process that run_local_processes started: ends it, as SIGTERM does, when the one that started it
/// ends.
void end_with_launcher();

/// The threads of one of `local_size` processes on this machine, where no option says it: an even share, or
/// all that there are if the launcher has bound this process to some of the machine's processors.
int64_t threads_of_rank(int64_t local_size);

}  // namespace lowrank
