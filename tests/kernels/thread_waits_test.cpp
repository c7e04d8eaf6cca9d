// How threads wait: briefly if the machine is shared.
#include "kernels/core/thread_waits.h"

#include <chrono>
#include <ctime>
#include <thread>

#include <gtest/gtest.h>

#include "kernels/core/parallel.h"

namespace lowrank {
namespace {

/// Seconds that this thread has computed.
double thread_seconds() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// The fraction of its time for which this thread uses the processor while it only waits for another.
double share_of_waiting() {
  const auto begin = std::chrono::steady_clock::now();
  const double computed = thread_seconds();
  for (int i = 0; i < 60; ++i) {
    parallel_for(0, 2, 1, [](int64_t first, int64_t) {
      if (first > 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    });
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  return (thread_seconds() - computed) / taken.count();
}

TEST(ThreadWaits, ABriefWaitSleeps) {
  const int threads = thread_count();
  set_thread_count(2);
  {
    const BriefWaits brief;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // until its threads have started
    EXPECT_LT(share_of_waiting(), 0.3);
  }
  set_thread_count(threads);
}

TEST(ThreadWaits, AreBriefUntilTheMachineWasCalmForASecond) {
  WaitChoice choice;
  for (int tick = 1; tick < 20; ++tick) EXPECT_TRUE(choice.update(0.1, 0, 0.05)) << tick;
  EXPECT_TRUE(choice.update(0.1, 0, 0.04));
  EXPECT_FALSE(choice.update(0.1, 0, 0.05));
}

TEST(ThreadWaits, AreLongFromTheStartOnAQuietMachine) {
  WaitChoice choice(false);
  // The moments of a process that hardly computes yet.
  EXPECT_FALSE(choice.update(0.001, 0.002, 0.05));
  for (int tick = 0; tick < 20; ++tick) EXPECT_FALSE(choice.update(0.1, 0.001, 0.05)) << tick;
  EXPECT_TRUE(choice.update(0.06, 0.04, 0.05) || choice.update(0.06, 0.04, 0.05));
}

TEST(ThreadWaits, BecomeBriefWhereThreadsLackACore) {
  WaitChoice choice;
  for (int tick = 0; tick < 40; ++tick) choice.update(0.1, 0, 0.05);
  // A single delay, such as one caused by a background update, does not count.
  EXPECT_FALSE(choice.update(0.09, 0.01, 0.05));
  int ticks = 0;
  while (!choice.update(0.06, 0.04, 0.05)) ++ticks;
  EXPECT_LE(ticks, 4);
  // An eighth and more keeps them brief; so does anything above a twentieth.
  for (int tick = 0; tick < 100; ++tick) EXPECT_TRUE(choice.update(0.092, 0.008, 0.05));
  for (int tick = 0; tick < 40; ++tick) choice.update(0.1, 0.001, 0.05);
  EXPECT_FALSE(choice.update(0.1, 0.001, 0.05));
}

TEST(ThreadWaits, AnIdleProcessIsCalm) {
  WaitChoice choice;
  for (int tick = 0; tick < 40; ++tick) choice.update(0, 0, 0.5);
  EXPECT_FALSE(choice.update(0, 0, 0.5));
}

}  // namespace
}  // namespace lowrank
