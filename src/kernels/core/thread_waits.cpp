#include "kernels/core/thread_waits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <omp.h>
#include <optional>
#include <string>
#include <system_error>
#include <thread>

#ifndef _OPENMP
#error "this file must be compiled with OpenMP (cmake/layers.cmake)"
#endif

namespace lowrank {
namespace {

using Clock = std::chrono::steady_clock;

/// Times of all threads of the process so far, in seconds (Documentation/scheduler/sched-stats.rst in Linux);
/// nothing if the system does not report them.
struct ThreadTimes {
  double ran = 0, delayed = 0;
};
std::optional<ThreadTimes> thread_times() {
  ThreadTimes sum;
  std::error_code gone;  // a thread may end meanwhile
  bool told = false;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", gone)) {
    std::ifstream file(task.path() / "schedstat");
    double ran = 0, delayed = 0;
    if (!(file >> ran >> delayed)) continue;
    constexpr double nanosecond = 1e-9;
    sum.ran += nanosecond * ran;
    sum.delayed += nanosecond * delayed;
    told = true;
  }
  return told ? std::optional(sum) : std::nullopt;
}

/// True if threads of other programs want a core now, or if the system does not say (proc(5), /proc/stat).
bool others_compute() {
  using namespace std::chrono_literals;
  int64_t fewest = std::numeric_limits<int64_t>::max();
  for (int look = 0; look < 3; ++look) {  // a thread that ran for a moment is no program that computes
    if (look > 0) std::this_thread::sleep_for(300us);
    std::ifstream file("/proc/stat");
    for (std::string word; file >> word && word != "procs_running";) {
    }
    int64_t running = 0;
    if (!(file >> running)) return true;
    fewest = std::min(fewest, running);
  }
  return fewest > 1;  // this thread is one
}

void watch(bool brief) try {
  using namespace std::chrono_literals;
  WaitChoice choice(brief);
  std::optional<BriefWaits> brief_waits;
  std::optional<ThreadTimes> before = thread_times();
  Clock::time_point since = Clock::now();
  Clock::duration pause = 50ms;
  for (;;) {
    if (!brief) brief_waits.reset();
    if (brief && !brief_waits) brief_waits.emplace();
    std::this_thread::sleep_for(pause);
    const std::optional<ThreadTimes> now = thread_times();
    const Clock::time_point time = Clock::now();
    const double seconds = std::chrono::duration<double>(time - since).count();
    // If the system reports nothing: brief waits cost a few percent on a quiet machine and avoid a slowdown
    // of several times on a busy one.
    brief = true;
    if (now && before) {
      const double ran = std::max(0.0, now->ran - before->ran);
      brief = choice.update(ran, std::max(0.0, now->delayed - before->delayed), seconds);
      constexpr double little = 0.05;
      pause = ran > little * seconds ? 50ms : 500ms;
    }
    before = now;
    since = time;
  }
} catch (const std::system_error&) {
  // No thread could be started for BriefWaits: waits stay as the library has them.
}

bool start_watching() {
  if (std::getenv("OMP_WAIT_POLICY") || std::getenv("GOMP_SPINCOUNT")) return false;
  try {
    std::thread(watch, others_compute()).detach();
  } catch (const std::system_error&) {
    return false;
  }
  return true;
}

}  // namespace

// The library counts its threads, and if there are more of them than processors, waiting threads spin for 100
// rounds instead of 300,000 (libgomp's wait.h: gomp_throttled_spin_count_var). It has no call for this and
// reads its environment variables before any of our code runs.
BriefWaits::BriefWaits() : owner_(own_threads) {}

void BriefWaits::own_threads(const std::stop_token& stop) {
#pragma omp parallel num_threads(omp_get_num_procs() + 1)
  { [[maybe_unused]] const volatile int started = omp_get_thread_num(); }
  std::atomic<bool> stopped = false;
  const std::stop_callback wake(stop, [&] {
    stopped = true;
    stopped.notify_one();
  });
  stopped.wait(false);
}

bool WaitChoice::update(double ran, double delayed, double seconds) {
  constexpr double memory = 0.2, many = 1.0 / 8, few = 1.0 / 20, calm = 1;
  const double kept = std::exp(-seconds / memory);
  ran_ = kept * ran_ + ran;
  delayed_ = kept * delayed_ + delayed;
  // A process that hardly computes tells nothing by the few moments for which it waits.
  constexpr double enough = 0.02;
  const double share = delayed_ / std::max(enough, ran_ + delayed_);
  calm_seconds_ = share > few ? 0 : calm_seconds_ + seconds;
  brief_ = share > many || (brief_ && calm_seconds_ < calm);
  return brief_;
}

void watch_waits() {
  [[maybe_unused]] static const bool watching = start_watching();
}

}  // namespace lowrank
