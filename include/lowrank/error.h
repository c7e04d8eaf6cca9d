#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace lowrank {

/// What went wrong, for a caller that reacts to it.
enum class ErrorKind { not_found, invalid, corrupt, unsupported, io, interrupted };

/// The library's only exception type: a sentence that names the file and the offset or line, and a hint on
/// what to do. An option is named in backticks: `max_length`.
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

}  // namespace lowrank
