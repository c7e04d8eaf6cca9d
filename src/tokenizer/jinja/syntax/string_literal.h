#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace lowrank::jinja {

struct LiteralProblem {
  std::string message;
  size_t offset = 0;
};

/// What the inside of a string literal stands for, by Python's rules for unicode escapes, appended to
/// `result`. An unknown escape stays as it is.
std::optional<LiteralProblem> unescape(std::string_view literal, std::string& result);

}  // namespace lowrank::jinja
