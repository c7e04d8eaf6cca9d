#pragma once

#include <cstdint>
#include <functional>

namespace lowrank {

/// Calls `body(b, e)` over pieces that cover [begin, end), on as many threads as libtorch uses; a piece has
/// at least `grain` indices. Exceptions reach the caller.
void parallel_for(int64_t begin, int64_t end, int64_t grain,
                  const std::function<void(int64_t, int64_t)>& body);

/// Calls `body(task)` for tasks of unequal size, each exactly once, handed out in order to whichever thread
/// is free.
void parallel_tasks(int64_t tasks, const std::function<void(int64_t)>& body);

/// Threads that the two use.
int thread_count();

}  // namespace lowrank
