#include "kernels/parallel.h"

#include <algorithm>
#include <atomic>

#include <ATen/Parallel.h>

namespace lowrank {

void parallel_for(int64_t begin, int64_t end, int64_t grain,
                  const std::function<void(int64_t, int64_t)>& body) {
  at::parallel_for(begin, end, grain, [&](int64_t from, int64_t to) { body(from, to); });
}

void parallel_tasks(int64_t tasks, const std::function<void(int64_t)>& body) {
  std::atomic<int64_t> next{0};
  const int64_t threads = std::min<int64_t>(tasks, at::get_num_threads());
  at::parallel_for(0, threads, 1, [&](int64_t, int64_t) {
    for (int64_t task = next++; task < tasks; task = next++) body(task);
  });
}

int thread_count() {
  return at::get_num_threads();
}

}  // namespace lowrank
