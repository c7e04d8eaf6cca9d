#include "data/rows/ordered_work.h"

#include <algorithm>
#include <utility>

namespace lowrank {
namespace {

constexpr size_t chunk_rows = 128, chunk_bytes = 1 << 17;
constexpr size_t most_chunks = 32;

}  // namespace

OrderedWork::OrderedWork(unsigned threads) : most_threads_(threads) {}

void OrderedWork::start_threads() {
  while (threads_.size() < most_threads_) threads_.emplace_back([this] { run_chunks(); });
}

OrderedWork::~OrderedWork() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  given_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void OrderedWork::run(Chunk& chunk) {
  chunk.ends.reserve(chunk.begins.size());
  for (Begin& begin : chunk.begins) {
    chunk.ends.push_back(begin());
    begin = nullptr;
  }
}

void OrderedWork::run_chunks() {
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto waiting = [this] { return std::ranges::find(chunks_, false, &Chunk::taken); };
    given_.wait(lock, [&] { return stop_ || waiting() != chunks_.end(); });
    if (stop_) return;
    Chunk& chunk = *waiting();
    chunk.taken = true;
    lock.unlock();
    run(chunk);
    lock.lock();
    chunk.done = true;
    done_.notify_one();
  }
}

void OrderedWork::give(Begin begin, size_t bytes) {
  if (most_threads_ == 0) return end(begin());
  next_.begins.push_back(std::move(begin));
  next_.bytes += bytes;
  if (next_.begins.size() < chunk_rows && next_.bytes < chunk_bytes) return;
  hand_over();
}

void OrderedWork::hand_over() {
  start_threads();
  while (chunks_.size() >= std::min<size_t>(most_chunks, 2 * threads_.size() + 2)) end_oldest();
  {
    const std::scoped_lock lock(mutex_);
    chunks_.push_back(std::exchange(next_, {}));
  }
  given_.notify_one();
}

void OrderedWork::end_oldest() {
  std::vector<End> ends;
  {
    std::unique_lock lock(mutex_);
    Chunk& oldest = chunks_.front();
    if (!oldest.taken) {
      // No thread has come to it: this one would only wait.
      oldest.taken = true;
      lock.unlock();
      run(oldest);
      lock.lock();
      oldest.done = true;
    }
    done_.wait(lock, [&] { return oldest.done; });
    ends = std::move(oldest.ends);
    chunks_.pop_front();
  }
  for (const End& work : ends) end(work);
}

void OrderedWork::end(const End& work) {
  failed_ = true;
  work();
  failed_ = false;
}

void OrderedWork::finish() {
  if (failed_) return;
  while (!chunks_.empty()) end_oldest();
  Chunk last = std::exchange(next_, {});
  run(last);
  for (const End& work : last.ends) end(work);
}

unsigned reading_threads() {
  return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace lowrank
