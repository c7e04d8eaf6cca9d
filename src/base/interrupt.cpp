#include "base/interrupt.h"

#include <atomic>
#include <csignal>
#include <utility>

#include "base/error.h"

namespace lowrank {
namespace {

// A signal handler can report in no other way.
std::atomic<int> signalled = 0;
static_assert(std::atomic<int>::is_always_lock_free);
struct sigaction earlier_int, earlier_term;

thread_local const StopScope* innermost = nullptr;

extern "C" void on_signal(int signal) {
  signalled.store(signal);
  struct sigaction plain = {};
  plain.sa_handler = SIG_DFL;
  sigaction(SIGINT, &plain, nullptr);
  sigaction(SIGTERM, &plain, nullptr);
}

void take_signals(struct sigaction* earlier_of_int, struct sigaction* earlier_of_term) {
  signalled.store(0);
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, earlier_of_int);
  sigaction(SIGTERM, &action, earlier_of_term);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  take_signals(&earlier_int, &earlier_term);
}

InterruptGuard::~InterruptGuard() {
  sigaction(SIGINT, &earlier_int, nullptr);
  sigaction(SIGTERM, &earlier_term, nullptr);
}

StopScope::StopScope(std::stop_token stop) : stop_(std::move(stop)), outer_(innermost) {
  innermost = this;
}

StopScope::~StopScope() {
  innermost = outer_;
}

bool interrupted() {
  for (const StopScope* scope = innermost; scope; scope = scope->outer_) {
    if (scope->stop_.stop_requested()) return true;
  }
  return interrupting_signal() != 0;
}

int interrupting_signal() {
  return signalled.load();
}

void forget_interrupt() {
  take_signals(nullptr, nullptr);
}

void throw_if_interrupted() {
  check(!interrupted(), ErrorKind::interrupted, "{}",
        interrupting_signal() != 0 ? "Stopped by a signal." : "Stopped.");
}

}  // namespace lowrank
