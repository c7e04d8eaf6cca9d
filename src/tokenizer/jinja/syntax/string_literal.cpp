#include "tokenizer/jinja/syntax/string_literal.h"

#include <charconv>

#include <fmt/format.h>

#include "base/text/characters.h"

namespace lowrank::jinja {
namespace {

/// What a single letter after a backslash stands for, 0: something else.
char simple_escape(char letter) {
  switch (letter) {
    case 'a':
      return '\a';
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'v':
      return '\v';
    case '\\':
    case '\'':
    case '"':
      return letter;
    default:
      return '\0';
  }
}

size_t hex_digits(char letter) {
  return letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
}

}  // namespace

std::optional<LiteralProblem> unescape(std::string_view literal, std::string& result) {
  for (size_t i = 0; i < literal.size(); ++i) {
    if (literal[i] != '\\' || i + 1 >= literal.size()) {
      result += literal[i];
      continue;
    }
    const size_t begin = i;
    const char letter = literal[++i];
    if (const char simple = simple_escape(letter)) {
      result += simple;
    } else if (letter == '\n') {
      continue;  // a line goes on
    } else if (const size_t digits = hex_digits(letter)) {
      uint32_t code = 0;
      const std::string_view text = literal.substr(i + 1, digits);
      const auto parsed = std::from_chars(text.data(), text.data() + text.size(), code, 16);
      if (text.size() < digits || parsed.ptr != text.data() + digits) {
        return LiteralProblem{fmt::format("'\\{}' needs {} hexadecimal digits", letter, digits), begin};
      }
      if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
        return LiteralProblem{fmt::format("'{}' is no character", literal.substr(begin, digits + 2)), begin};
      }
      append_character(result, code);
      i += digits;
    } else if (letter >= '0' && letter <= '7') {
      uint32_t code = 0;
      size_t end = i;
      while (end < literal.size() && end < i + 3 && literal[end] >= '0' && literal[end] <= '7') {
        code = code * 8 + static_cast<uint32_t>(literal[end++] - '0');
      }
      append_character(result, code);
      i = end - 1;
    } else if (letter == 'N') {
      return LiteralProblem{"characters by name ('\\N{...}') are not supported", begin};
    } else {
      result += '\\';
      result += letter;
    }
  }
  return std::nullopt;
}

}  // namespace lowrank::jinja
