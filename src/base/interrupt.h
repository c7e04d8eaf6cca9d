#pragma once

#include <stop_token>

namespace lowrank {

/// While one lives, the first SIGINT or SIGTERM only sets a flag, which a loop polls between steps to stop
/// cleanly; the next one ends the program at once. The destructor restores the earlier handling. At most one
/// at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

/// While one lives, `stop` can end the calling thread's work like a signal. Scopes nest: each of them can.
class StopScope {
 public:
  explicit StopScope(std::stop_token stop);
  ~StopScope();
  StopScope(const StopScope&) = delete;
  StopScope& operator=(const StopScope&) = delete;

 private:
  friend bool interrupted();
  std::stop_token stop_;
  const StopScope* outer_;
};

/// Whether a signal has arrived since the last guard was made, or a StopScope of this thread asks to stop.
bool interrupted();

/// The signal that arrived, SIGINT or SIGTERM; 0 if none did.
int interrupting_signal();

/// Forgets the signal that arrived, once the program has dealt with it: the next one is again the first. For
/// use while an InterruptGuard lives.
void forget_interrupt();

/// Throws an Error of kind `interrupted` if `interrupted()`.
void throw_if_interrupted();

}  // namespace lowrank
