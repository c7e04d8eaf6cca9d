#include "metrics/caption_words.h"

#include <algorithm>
#include <array>

#include "base/text/characters.h"
#include "metrics/character_rules.h"

namespace lowrank::metrics {
namespace {

constexpr std::array<std::string_view, 46> abbreviations{
    "inc.",  "st.",   "mr.",   "mrs.", "dr.",   "jr.",  "sr.",     "no.",  "vs.",   "co.",  "corp.", "ltd.",
    "gen.",  "col.",  "lt.",   "sgt.", "prof.", "rev.", "sen.",    "gov.", "rep.",  "feb.", "jan.",  "aug.",
    "sept.", "oct.",  "nov.",  "dec.", "a.m.",  "p.m.", "ave.",    "etc.", "bros.", "est.", "ft.",   "mt.",
    "u.s.",  "ph.d.", "blvd.", "al.",  "apr.",  "mar.", "messrs.", "ms.",  "sens.", "reps."};
constexpr std::array<std::string_view, 8> contractions{"'s", "'re", "'ve", "'ll", "'m", "'d", "'em", "n't"};

template <size_t size>
bool among(const std::array<std::string_view, size>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Letters with a period behind each: u.s.
bool is_initials(std::string_view word) {
  for (size_t at = 0; at < word.size();) {
    const size_t begin = at;
    next_character(word, at);
    if (!all_are(word.substr(begin, at - begin), CharacterClass::alpha) || at == word.size() ||
        word[at] != '.') {
      return false;
    }
    ++at;
  }
  return !word.empty();
}

/// An apostrophe that belongs to what follows: a contraction, 'n' for and, a year as '90s.
bool begins_with_apostrophe(std::string_view word) {
  if (among(contractions, word) || word == "'n") return true;
  return (word.size() == 3 || (word.size() == 4 && word[3] == 's')) && is_digit(word[1]) && is_digit(word[2]);
}

/// What of a punctuation in front of the word does not belong to it.
std::string_view without_start(std::string_view word) {
  while (!word.empty()) {
    const bool quote = (word[0] == '\'' && !begins_with_apostrophe(word)) || word[0] == '`';
    const bool mark = word.size() > 1 && (word[0] == '.' || word[0] == '-') && !is_digit(word[1]);
    if (!quote && !mark) break;
    word.remove_prefix(1);
  }
  return word;
}

/// The same at the end; `slashes` counts those that become words of their own.
std::string_view without_end(std::string_view word, int& slashes) {
  while (!word.empty()) {
    const char last = word.back();
    const bool quote = last == '\'' || last == '`';
    const bool period = last == '.' && !is_initials(word) && !among(abbreviations, word);
    const bool mark = word.size() > 1 && (last == '-' || last == '/');
    if (!quote && !period && !mark) break;
    slashes += last == '/' ? 1 : 0;
    word.remove_suffix(1);
  }
  return word;
}

void add_words(Words& words, std::string_view word) {
  constexpr std::array<std::string_view, 4> brackets{"-lrb-", "-rrb-", "-lsb-", "-rsb-"};
  if (among(brackets, word)) return words.add(word);
  int slashes = 0;
  word = without_end(without_start(word), slashes);
  const auto contraction = std::find_if(contractions.begin(), contractions.end(), [&](std::string_view end) {
    return word.size() > end.size() && word.ends_with(end);
  });
  if (word == "cannot") {
    words.add("can");
    words.add("not");
  } else if (contraction != contractions.end()) {
    words.add(word.substr(0, word.size() - contraction->size()));
    words.add(*contraction);
  } else if (!word.empty() && word != "-" && word != "--") {
    words.add(word);
  }
  for (; slashes > 0; --slashes) words.add("/");
}

/// What stands for a character wherever it is; empty for one that stays.
std::u32string_view spelled(char32_t c) {
  switch (c) {
    case U'\u2019':
      return U"'";
    case U'\u2018':
      return U"`";
    case U'\u00A3':
      return U" # ";
    case U'\u20AC':
    case U'$':
      return U" $ ";
    case U'(':
      return U" -lrb- ";
    case U')':
      return U" -rrb- ";
    case U'[':
      return U" -lsb- ";
    case U']':
      return U" -rsb- ";
    case U'%':
      return U" % ";
    case U'&':
      return U" & ";
    case U'@':
      return U" @ ";
    case U'\u2013':
    case U'\u2014':
    case U'"':
    case U'\u201C':
    case U'\u201D':
    case U';':
    case U'?':
    case U'!':
      return U" ";
    default:
      return {};
  }
}

std::u32string spelled(std::u32string_view text) {
  std::u32string line;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool between_digits =
        i > 0 && i + 1 < text.size() && is_ascii_digit(text[i - 1]) && is_ascii_digit(text[i + 1]);
    if ((text[i] == U',' || text[i] == U':') && !between_digits) {
      line += U' ';
    } else if (const std::u32string_view other = spelled(text[i]); !other.empty()) {
      line += other;
    } else {
      line += text[i];
    }
  }
  return replaced(replaced(line, U"--", U" "), U"...", U" ");
}

}  // namespace

Words caption_words(std::string_view text) {
  const Words rough = Words::of(utf8(spelled(characters_of(lower_case(text)))));
  Words words;
  for (size_t i = 0; i < rough.size(); ++i) add_words(words, rough[i]);
  return words;
}

}  // namespace lowrank::metrics
