#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace lowrank {

/// What went wrong, for a caller that reacts to it; `main` turns it into the exit code.
enum class ErrorKind { not_found, invalid, corrupt, unsupported, io, interrupted };

/// The project's only exception type: a sentence that names the file and the offset or line, and a hint on
/// what to do.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message, std::string hint = {})
      : std::runtime_error(message), kind_(kind), hint_(std::move(hint)) {}

  ErrorKind kind() const { return kind_; }
  const std::string& hint() const { return hint_; }

 private:
  ErrorKind kind_;
  std::string hint_;
};

/// Throws an Error whose message is formatted as fmt::format does.
template <typename... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

/// Like `fail` if `condition` does not hold; the message is formatted only then.
template <typename... Args>
void check(bool condition, ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) [[unlikely]] {
    throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
  }
}

}  // namespace lowrank
