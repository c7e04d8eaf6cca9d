#include "metrics/ter_words.h"

#include "base/text/characters.h"
#include "metrics/character_rules.h"

namespace lowrank::metrics {
namespace {

bool in(char32_t c, char32_t first, char32_t last) {
  return c >= first && c <= last;
}

bool is_asian_punctuation(char32_t c) {
  return c == 0x3001 || c == 0x3002 || in(c, 0x3008, 0x3011) || in(c, 0x3014, 0x301F) ||
         in(c, 0xFF61, 0xFF65) || c == 0x30FB;
}

bool is_full_width_punctuation(char32_t c) {
  return c == 0xFF0E || c == 0xFF0C || c == 0xFF1F || c == 0xFF1A || c == 0xFF1B || c == 0xFF01 ||
         c == 0xFF02 || c == 0xFF08 || c == 0xFF09;
}

/// Ideographs, radicals and compatibility forms. The range that begins with enclosed letters ends at 3F22 in
/// sacrebleu, inside the ideographs.
bool is_ideograph(char32_t c) {
  return in(c, 0x4E00, 0x9FFF) || in(c, 0x3400, 0x4DBF) || in(c, 0x31C0, 0x31EF) || in(c, 0x2E80, 0x2EFF) ||
         in(c, 0x3300, 0x33FF) || in(c, 0xF900, 0xFAFF) || in(c, 0xFE30, 0xFE4F) || in(c, 0x3200, 0x3F22);
}

std::u32string normalised(std::u32string_view text, bool asian) {
  std::u32string line = replaced(replaced(text, U"\n-", U""), U"\n", U" ");
  line = western_punctuation(U" " + without_entities(line) + U" ");
  line = periods_and_dashes(replaced(line, U"'s ", U" 's "));
  if (!asian) return line;
  return set_apart(line, [](char32_t c) {
    return is_ideograph(c) || is_asian_punctuation(c) || is_full_width_punctuation(c);
  });
}

std::u32string without_punctuation(std::u32string_view text, bool asian) {
  constexpr std::u32string_view western = U".,?:;!\"()";
  return left_out(text, [&](char32_t c) {
    return western.find(c) != std::u32string_view::npos ||
           (asian && (is_asian_punctuation(c) || is_full_width_punctuation(c)));
  });
}

}  // namespace

Words ter_words(std::string_view text, const TerWordOptions& options) {
  std::u32string line = characters_of(options.case_sensitive ? std::string(text) : lower_case(text));
  // An empty text has no padding to be divided.
  if (options.normalised && !line.empty()) line = normalised(line, options.asian);
  if (options.no_punctuation) line = without_punctuation(line, options.asian);
  return Words::of(utf8(line));
}

}  // namespace lowrank::metrics
