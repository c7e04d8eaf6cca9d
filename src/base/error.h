#pragma once

#include <lowrank/error.h>
#include <utility>

#include <fmt/format.h>

namespace lowrank {

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
