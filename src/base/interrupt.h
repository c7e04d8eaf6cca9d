#pragma once

namespace lowrank {

/// While one lives, the first SIGINT or SIGTERM only sets a flag, which a loop polls between two steps to
/// stop in good order; the next one ends the program at once. The destructor puts the earlier handling back.
/// At most one at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

/// Whether a signal came since the last guard was made.
bool interrupted();

/// The signal that came, SIGINT or SIGTERM; 0 where none did.
int interrupting_signal();

/// Throws an Error of kind `interrupted` if a signal came.
void throw_if_interrupted();

}  // namespace lowrank
