#pragma once

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

/// Whether a signal has arrived since the last guard was made.
bool interrupted();

/// The signal that arrived, SIGINT or SIGTERM; 0 if none did.
int interrupting_signal();

/// Throws an Error of kind `interrupted` if a signal has arrived.
void throw_if_interrupted();

}  // namespace lowrank
