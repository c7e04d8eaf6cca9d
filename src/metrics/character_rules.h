#pragma once

#include <string>
#include <string_view>

namespace lowrank::metrics {

/// The substitutions from which tokenizers of metrics are made. Regular expressions of Python act on
/// characters, so these do, too.

/// The characters of a text; bytes that are not UTF-8 are U+FFFD.
std::u32string characters_of(std::string_view text);
/// Characters as UTF-8.
std::string utf8(std::u32string_view characters);

/// `text` with each `from` replaced, from left to right.
std::u32string replaced(std::u32string_view text, std::u32string_view from, std::u32string_view to);

inline bool is_ascii_digit(char32_t c) {
  return c >= U'0' && c <= U'9';
}
inline bool is_period_or_comma(char32_t c) {
  return c == U'.' || c == U',';
}

/// s/(X)/ \1 /g for the characters that `is` X.
template <typename Is>
std::u32string set_apart(std::u32string_view text, Is is) {
  std::u32string result;
  for (const char32_t c : text) {
    if (is(c)) {
      result += {U' ', c, U' '};
    } else {
      result += c;
    }
  }
  return result;
}

/// The text without the characters that `is` X.
template <typename Is>
std::u32string left_out(std::u32string_view text, Is is) {
  std::u32string result;
  for (const char32_t c : text) {
    if (!is(c)) result += c;
  }
  return result;
}

/// On which sides a pair of characters gets a space, beside the one between its two.
enum class Side { before, after };

/// s/(X)(Y)/ \1 \2/g or s/(X)(Y)/\1 \2 /g: a matched pair is passed over, so its second character begins no
/// other.
template <typename First, typename Second>
std::u32string split_pairs(std::u32string_view text, First first, Second second, Side side) {
  std::u32string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 == text.size() || !first(text[i]) || !second(text[i + 1])) {
      result += text[i];
      continue;
    }
    if (side == Side::before) result += U' ';
    result += {text[i], U' ', text[i + 1]};
    if (side == Side::after) result += U' ';
    ++i;
  }
  return result;
}

/// The rule of mteval for Western languages: ASCII punctuation except ' , - . is set apart.
std::u32string western_punctuation(std::u32string_view text);

/// The rules that follow it: periods and commas that are not between digits are set apart, as are dashes
/// behind a digit.
std::u32string periods_and_dashes(std::u32string_view text);

/// &quot; &amp; &lt; &gt; as the characters they stand for, in this order.
std::u32string without_entities(std::u32string_view text);

}  // namespace lowrank::metrics
