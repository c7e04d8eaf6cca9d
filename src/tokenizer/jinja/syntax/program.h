#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "tokenizer/jinja/syntax/syntax.h"

namespace lowrank::jinja {

/// A constant of a template: none, a boolean, an integer, a float, digits of an integer beyond 64 bits, text.
struct Digits {
  std::string text;
};
using Constant = std::variant<std::monostate, bool, int64_t, double, Digits, std::string>;

/// A compiled template.
struct Program {
  std::string source;  ///< normalised
  Body body;
  std::vector<Constant> constants;
  std::vector<std::string> symbols;  ///< names of the variables, by number
  std::unordered_map<std::string, int32_t> symbol_numbers;
  bool generation_blocks = false;

  int32_t symbol(const std::string& name) {
    const auto [entry, is_new] = symbol_numbers.try_emplace(name, static_cast<int32_t>(symbols.size()));
    if (is_new) symbols.push_back(name);
    return entry->second;
  }
};

}  // namespace lowrank::jinja
