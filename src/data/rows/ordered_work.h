#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace lowrank {

/// Work in two halves: the first ones run on threads of their own, in any order and at once, the second ones
/// on the calling thread, in the order in which the work was given. What is given, run and not yet ended is
/// bounded, so that memory is, too.
class OrderedWork {
 public:
  /// The second half, which takes the first one's result.
  using End = std::function<void()>;
  /// The first half. It must not throw; an error is for the second half to report.
  using Begin = std::function<End()>;

  /// `threads` 0: everything runs on the calling thread, as it is given. Threads start once there is more
  /// work than a few rows.
  explicit OrderedWork(unsigned threads);
  /// Stops without the second halves that have not run.
  ~OrderedWork();
  OrderedWork(const OrderedWork&) = delete;
  OrderedWork& operator=(const OrderedWork&) = delete;

  /// Gives work; may run the second half of earlier work, whose errors pass through. `bytes`: how much memory
  /// it holds, roughly.
  void give(Begin begin, size_t bytes);
  /// Runs all second halves that are left; none once one of them has failed. Errors: theirs.
  void finish();

 private:
  /// Work that is handed over at once, because handing over costs more than a row.
  struct Chunk {
    std::vector<Begin> begins;
    std::vector<End> ends;
    size_t bytes = 0;
    bool taken = false, done = false;
  };
  void hand_over();
  void end(const End& work);
  void end_oldest();
  void run_chunks();
  void start_threads();
  static void run(Chunk& chunk);

  unsigned most_threads_;
  std::mutex mutex_;
  std::condition_variable given_, done_;
  std::deque<Chunk> chunks_;  ///< handed over, in order; references to its elements stay valid
  Chunk next_;
  bool stop_ = false, failed_ = false;
  std::vector<std::thread> threads_;
};

/// A number of threads for OrderedWork: as many as the processor runs at once.
unsigned reading_threads();

}  // namespace lowrank
