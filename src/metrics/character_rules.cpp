#include "metrics/character_rules.h"

#include "base/text/characters.h"

namespace lowrank::metrics {

std::u32string characters_of(std::string_view text) {
  std::u32string characters;
  characters.reserve(text.size());
  for (size_t at = 0; at < text.size();) characters += next_character(text, at);
  return characters;
}

std::string utf8(std::u32string_view characters) {
  std::string text;
  text.reserve(characters.size());
  for (const char32_t c : characters) append_character(text, c);
  return text;
}

std::u32string replaced(std::u32string_view text, std::u32string_view from, std::u32string_view to) {
  std::u32string result;
  size_t begin = 0;
  for (size_t at = text.find(from); at != std::u32string_view::npos; at = text.find(from, begin)) {
    result += text.substr(begin, at - begin);
    result += to;
    begin = at + from.size();
  }
  result += text.substr(begin);
  return result;
}

std::u32string western_punctuation(std::u32string_view text) {
  return set_apart(text, [](char32_t c) {
    return (c >= U'{' && c <= U'~') || (c >= U'[' && c <= U'`') || (c >= U' ' && c <= U'&') ||
           (c >= U'(' && c <= U'+') || (c >= U':' && c <= U'@') || c == U'/';
  });
}

std::u32string periods_and_dashes(std::u32string_view text) {
  const auto not_digit = [](char32_t c) { return !is_ascii_digit(c); };
  std::u32string result = split_pairs(text, not_digit, is_period_or_comma, Side::after);
  result = split_pairs(result, is_period_or_comma, not_digit, Side::before);
  return split_pairs(
      result, is_ascii_digit, [](char32_t c) { return c == U'-'; }, Side::after);
}

std::u32string without_entities(std::u32string_view text) {
  if (text.find(U'&') == std::u32string_view::npos) return std::u32string(text);
  std::u32string result = replaced(text, U"&quot;", U"\"");
  result = replaced(result, U"&amp;", U"&");
  result = replaced(result, U"&lt;", U"<");
  return replaced(result, U"&gt;", U">");
}

}  // namespace lowrank::metrics
