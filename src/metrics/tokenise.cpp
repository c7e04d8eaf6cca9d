#include "metrics/tokenise.h"

#include "base/text/characters.h"
#include "metrics/character_rules.h"

namespace lowrank::metrics {
namespace {

Words tokenise_13a(std::string_view text) {
  std::u32string line = replaced(characters_of(text), U"<skipped>", U"");
  line = replaced(replaced(line, U"-\n", U""), U"\n", U" ");
  line = U" " + without_entities(line) + U" ";
  return Words::of(utf8(periods_and_dashes(western_punctuation(line))));
}

Words tokenise_intl(std::string_view text) {
  const auto not_number = [](char32_t c) { return !is_number(c); };
  std::u32string line = split_pairs(characters_of(text), not_number, is_punctuation, Side::after);
  line = split_pairs(line, is_punctuation, not_number, Side::before);
  return Words::of(utf8(set_apart(line, is_symbol)));
}

Words tokenise_characters(std::string_view text) {
  Words words;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    if (!is_space(next_character(text, at))) words.add(text.substr(begin, at - begin));
  }
  return words;
}

}  // namespace

std::string_view name_of(WordRule rule) {
  switch (rule) {
    case WordRule::v13a:
      return "13a";
    case WordRule::intl:
      return "intl";
    case WordRule::characters:
      return "char";
    case WordRule::none:
      break;
  }
  return "none";
}

Words tokenise(std::string_view text, WordRule rule) {
  switch (rule) {
    case WordRule::v13a:
      return tokenise_13a(text);
    case WordRule::intl:
      return tokenise_intl(text);
    case WordRule::characters:
      return tokenise_characters(text);
    case WordRule::none:
      break;
  }
  return Words::of(text);
}

std::string_view without_space_at_end(std::string_view text) {
  size_t end = text.size();
  for (size_t next = end; next > 0 && is_space(previous_character(text, next));) end = next;
  return text.substr(0, end);
}

}  // namespace lowrank::metrics
