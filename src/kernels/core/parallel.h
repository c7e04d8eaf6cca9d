#pragma once

#include <cstdint>
#include <functional>

namespace lowrank {

/// Threads that the kernels use (libtorch's intra-op pool), at least 1.
int thread_count();

/// Sets the number of kernel threads. Errors: invalid unless `count` >= 1.
void set_thread_count(int count);

/// Index of the calling thread among those of the running parallel_for or parallel_tasks, below
/// thread_count(); 0 outside.
int thread_index();

/// Calls body(first, last) on consecutive pieces of [begin, end), each at least `grain` long where possible,
/// on several threads. The pieces depend on the thread count. Nested calls run serially. The first exception
/// is rethrown here.
void parallel_for(int64_t begin, int64_t end, int64_t grain,
                  const std::function<void(int64_t, int64_t)>& body);

/// Calls body(task) once for each task in [0, count), for tasks of unequal size: every thread takes the next
/// free task, so put the largest first.
void parallel_tasks(int64_t count, const std::function<void(int64_t)>& body);

}  // namespace lowrank
