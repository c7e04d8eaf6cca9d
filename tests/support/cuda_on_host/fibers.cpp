#include <csetjmp>
#include <mutex>
#include <stdexcept>
#include <ucontext.h>
#include <vector>

#include "cuda_runtime.h"

namespace lowrank::test {
namespace {

constexpr size_t stack_bytes = 64 << 10;
constexpr unsigned lanes = 32;

enum class Wait { none, warp, block, ended };

struct Fiber {
  ucontext_t entry;
  jmp_buf place;
  bool started = false;
  Wait wait = Wait::none;
  uint64_t given = 0;  ///< to the other lanes
  dim3 thread;
};

/// One block at a time.
class Block {
 public:
  FiberOrder order = FiberOrder::ascending;

  void run(dim3 grid, dim3 block, const std::function<void()>& body) {
    const std::scoped_lock lock(mutex_);
    body_ = &body;
    gridDim = grid;
    blockDim = block;
    const unsigned count = block.x * block.y * block.z;
    if (stacks_.size() < count) stacks_.resize(count, std::vector<std::byte>(stack_bytes));
    for (unsigned number = 0; number < grid.x * grid.y * grid.z; ++number) {
      blockIdx.x = number % grid.x;
      blockIdx.y = number / grid.x % grid.y;
      blockIdx.z = number / grid.x / grid.y;
      run_block(count, block);
    }
  }

  void wait(Wait for_whom) {
    fibers_[current_].wait = for_whom;
    if (_setjmp(fibers_[current_].place) == 0) _longjmp(scheduler_, 1);
  }

  uint64_t value_of_lane(uint64_t value, unsigned lane) {
    fibers_[current_].given = value;
    wait(Wait::warp);
    const uint64_t found = fibers_.at(current_ / lanes * lanes + lane).given;
    wait(Wait::warp);
    return found;
  }

 private:
  static void enter();

  void run_block(unsigned count, dim3 block) {
    fibers_.assign(count, {});
    for (unsigned i = 0; i < count; ++i) {
      fibers_[i].thread.x = i % block.x;
      fibers_[i].thread.y = i / block.x % block.y;
      fibers_[i].thread.z = i / block.x / block.y;
    }
    while (release()) {
      for (unsigned i = 0; i < count; ++i) {
        const unsigned number = order == FiberOrder::ascending ? i : count - 1 - i;
        if (fibers_[number].wait == Wait::none) resume(number);
      }
    }
  }

  /// Lets those go on who have waited for all others; false when all have ended.
  bool release() {
    const auto count = static_cast<unsigned>(fibers_.size());
    bool any = false, all_ended = true;
    for (const Fiber& fiber : fibers_) {
      any = any || fiber.wait == Wait::none;
      all_ended = all_ended && fiber.wait == Wait::ended;
    }
    if (all_ended) return false;
    if (any) return true;
    any = release_if_all(0, count, Wait::block);
    for (unsigned first = 0; first < count; first += lanes)
      any = release_if_all(first, std::min(first + lanes, count), Wait::warp) || any;
    if (!any) throw std::logic_error("threads of a block wait for each other at different places");
    return true;
  }

  bool release_if_all(unsigned first, unsigned last, Wait wait) {
    bool any = false;
    for (unsigned i = first; i < last; ++i) {
      if (fibers_[i].wait == Wait::ended) continue;
      if (fibers_[i].wait != wait) return false;
      any = true;
    }
    for (unsigned i = first; i < last; ++i) {
      if (fibers_[i].wait == wait) fibers_[i].wait = Wait::none;
    }
    return any;
  }

  void resume(unsigned number) {
    current_ = number;
    Fiber& fiber = fibers_[number];
    threadIdx = fiber.thread;
    if (_setjmp(scheduler_) != 0) return;
    if (fiber.started) _longjmp(fiber.place, 1);
    fiber.started = true;
    getcontext(&fiber.entry);
    fiber.entry.uc_stack.ss_sp = stacks_[number].data();
    fiber.entry.uc_stack.ss_size = stacks_[number].size();
    fiber.entry.uc_link = nullptr;
    makecontext(&fiber.entry, &Block::enter, 0);
    setcontext(&fiber.entry);
  }

  std::mutex mutex_;
  const std::function<void()>* body_ = nullptr;
  std::vector<Fiber> fibers_;
  std::vector<std::vector<std::byte>> stacks_;
  unsigned current_ = 0;
  jmp_buf scheduler_;
};

Block& running() {
  static Block one;
  return one;
}

void Block::enter() {
  (*running().body_)();
  running().wait(Wait::ended);
}

}  // namespace

void set_fiber_order(FiberOrder order) {
  running().order = order;
}

void run_grid(dim3 grid, dim3 block, const std::function<void()>& body) {
  running().run(grid, block, body);
}

void wait_for_block() {
  running().wait(Wait::block);
}

void wait_for_warp() {
  running().wait(Wait::warp);
}

uint64_t value_of_lane(uint64_t value, unsigned lane) {
  return running().value_of_lane(value, lane);
}

}  // namespace lowrank::test
