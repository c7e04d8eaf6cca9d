#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::jinja {

enum class TokenKind {
  data,
  statement_begin,
  statement_end,
  print_begin,
  print_end,
  name,
  string,
  integer,
  real,
  symbol,
  end
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::string text;     ///< of data and strings: what they stand for; of a symbol: the operator
  uint32_t offset = 0;  ///< in the source
};

/// The source as jinja2 sees it: line ends are \n, and one at the end is dropped.
std::string normalised_source(std::string_view source);

/// Line and column (characters), both from 1.
struct Position {
  int64_t line = 1, column = 1;
};
Position position_of(std::string_view source, size_t offset);

/// A problem of a template's source.
struct SyntaxProblem {
  std::string message;
  uint32_t offset = 0;
  bool unsupported = false;  ///< Jinja has it, this interpreter does not
};

/// The tokens of a normalised source, with the white space rules of `trim_blocks`, `lstrip_blocks` and the
/// signs `-` and `+` applied. The last one is `end`. Throws SyntaxProblem.
std::vector<Token> tokens_of(std::string_view source);

}  // namespace lowrank::jinja
