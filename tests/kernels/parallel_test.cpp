#include "kernels/core/parallel.h"

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/error.h"

namespace lowrank {
namespace {

/// While one exists, kernels run with `count` threads.
struct Threads {
  explicit Threads(int count) : before(thread_count()) { set_thread_count(count); }
  ~Threads() { set_thread_count(before); }
  int before;
};

/// True when two calls of `arrive` were inside it at the same time.
struct Meeting {
  std::atomic<int> arrived{0};
  bool arrive() {
    ++arrived;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (arrived < 2 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    return arrived >= 2;
  }
};

TEST(Parallel, TwoThreadsRunAtTheSameTime) {
  const Threads threads(2);
  Meeting pieces, tasks;
  parallel_for(0, 2, 1, [&](int64_t, int64_t) { EXPECT_TRUE(pieces.arrive()); });
  parallel_tasks(2, [&](int64_t) { EXPECT_TRUE(tasks.arrive()); });
}

TEST(Parallel, EveryIndexIsVisitedOnce) {
  for (const int count : {1, 2, 3}) {
    const Threads threads(count);
    std::vector<std::atomic<int>> visits(1001), tasks(77);
    parallel_for(1, 1001, 7, [&](int64_t first, int64_t last) {
      EXPECT_LT(thread_index(), count);
      for (int64_t i = first; i < last; ++i) ++visits[i];
    });
    parallel_tasks(77, [&](int64_t i) {
      EXPECT_LT(thread_index(), count);
      ++tasks[i];
    });
    EXPECT_EQ(visits[0], 0);
    for (size_t i = 1; i < visits.size(); ++i) EXPECT_EQ(visits[i], 1) << i;
    for (size_t i = 0; i < tasks.size(); ++i) EXPECT_EQ(tasks[i], 1) << i;
  }
}

TEST(Parallel, NothingToDo) {
  parallel_for(5, 5, 1, [](int64_t, int64_t) { FAIL(); });
  parallel_tasks(0, [](int64_t) { FAIL(); });
}

TEST(Parallel, ExceptionsReachTheCaller) {
  const Threads threads(2);
  EXPECT_THROW(parallel_tasks(8,
                              [](int64_t i) {
                                if (i == 5) throw std::runtime_error("five");
                              }),
               std::runtime_error);
}

TEST(Parallel, AtLeastOneThread) {
  EXPECT_THROW(set_thread_count(0), Error);
}

}  // namespace
}  // namespace lowrank
