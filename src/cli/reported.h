#pragma once

#include <functional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"

namespace lowrank {

/// Wrong usage: arguments that a command does not take, or that lack something.
class UsageError : public Error {
 public:
  explicit UsageError(const std::string& message, std::string hint = {})
      : Error(ErrorKind::invalid, message, std::move(hint)) {}
};

/// Throws a UsageError whose message is formatted as fmt::format does, if `condition` does not hold.
template <typename... Args>
void check_usage(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) throw UsageError(fmt::format(format, std::forward<Args>(args)...));
}

/// Writes "error: " with the sentence, and "hint: " with the hint if there is one, to standard error.
void tell_error(const Error& error);

/// Runs the program's work and returns its exit code once standard output is written. Whatever it throws
/// becomes "error: " and a sentence on standard error, without control characters, and exit code 1 (2 for a
/// UsageError; after a signal 128 plus its number: 130, 143). If the reader of standard output goes away, as
/// `head` does, the program ends quietly with 141, as with SIGPIPE.
int reported(const std::function<int()>& work);

}  // namespace lowrank
