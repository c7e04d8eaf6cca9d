#include "kernels/core/parallel.h"

#include <algorithm>
#include <atomic>

#include <ATen/Parallel.h>

#include "base/error.h"
#include "kernels/core/thread_waits.h"

#ifndef _OPENMP
#error "at::parallel_for would be serial: this file must be compiled with OpenMP (cmake/layers.cmake)"
#endif

namespace lowrank {

int thread_count() {
  return std::max(1, at::get_num_threads());
}

void set_thread_count(int count) {
  check(count >= 1, ErrorKind::invalid, "{} threads were asked for; at least 1 is needed", count);
  at::set_num_threads(count);
}

int thread_index() {
  return at::get_thread_num();
}

void parallel_for(int64_t begin, int64_t end, int64_t grain,
                  const std::function<void(int64_t, int64_t)>& body) {
  watch_waits();
  at::parallel_for(begin, end, std::max<int64_t>(1, grain),
                   [&](int64_t first, int64_t last) { body(first, last); });
}

void parallel_tasks(int64_t count, const std::function<void(int64_t)>& body) {
  watch_waits();
  std::atomic<int64_t> next{0};
  const int64_t workers = std::min<int64_t>(count, thread_count());
  at::parallel_for(0, workers, 1, [&](int64_t, int64_t) {
    for (int64_t task = next++; task < count; task = next++) body(task);
  });
}

}  // namespace lowrank
