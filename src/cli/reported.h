#pragma once

#include <functional>

#include "base/error.h"

namespace lowrank {

/// Writes "error: " with the sentence, and "hint: " with the hint if there is one, to standard error.
void tell_error(const Error& error);

/// Runs the program's work and returns its exit code once standard output is written. Whatever it throws
/// becomes "error: " and a sentence on standard error, without control characters, and exit code 1 (after a
/// signal, 128 plus its number: 130, 143). If the reader of standard output goes away, as `head` does, the
/// program ends quietly with 141, as with SIGPIPE.
int reported(const std::function<int()>& work);

}  // namespace lowrank
