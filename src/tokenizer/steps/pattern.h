#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace lowrank {

/// A regular expression (PCRE2, close to Python's `re`) with bounded work.
class Pattern {
 public:
  /// Errors: invalid when it does not compile; `what` names it in errors.
  Pattern(const std::string& expression, const std::string& what);

  /// True when the whole text matches. Errors: invalid when matching exceeds its limits (catastrophic
  /// backtracking).
  bool matches(std::string_view text) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
  std::string what_;
};

}  // namespace lowrank
