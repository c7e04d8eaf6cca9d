#pragma once

#include <stop_token>
#include <thread>

namespace lowrank {

/// While one lives, threads of GNU's OpenMP library (libtorch, oneDNN and our kernels share them) that wait
/// for each other spin for microseconds and then sleep; otherwise they spin for milliseconds. It owns
/// sleeping threads, one more than the machine has processors.
class BriefWaits {
 public:
  BriefWaits();

 private:
  static void own_threads(const std::stop_token& stop);

  std::jthread owner_;  ///< its OpenMP threads end with it
};

/// Decides how kernel threads wait for each other. On a quiet machine a waiting thread should spin for
/// milliseconds, since waking it costs more than the work it waits for. If other programs want the same
/// cores, a spinning thread keeps them from the very thread it waits for, and everything becomes several
/// times slower.
class WaitChoice {
 public:
  /// `brief`: what it is at first.
  explicit WaitChoice(bool brief = true) : brief_(brief) {}

  /// What all threads did in the last `seconds`: `ran` on a core, and `delayed`, ready to run without one (in
  /// seconds, summed over threads). True: wait briefly. It becomes true when threads lack a core for more
  /// than an eighth of the time that they want one, averaged over about a fifth of a second, and false when
  /// that share has been at most a twentieth for a second.
  bool update(double ran, double delayed, double seconds);

 private:
  bool brief_;
  double ran_ = 0, delayed_ = 0;  ///< recent averages
  double calm_seconds_ = 0;
};

/// From the first call on, a thread of its own watches the machine (20 times a second while the process
/// computes) and keeps a BriefWaits while other programs want the same cores; at first, if one computes at
/// the time of that call. Does nothing if the user has set OMP_WAIT_POLICY or GOMP_SPINCOUNT. parallel_for,
/// parallel_tasks and prepare_kernels call it.
void watch_waits();

}  // namespace lowrank
