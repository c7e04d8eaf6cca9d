#pragma once

#include <string>
#include <string_view>

#include "metrics/words.h"

namespace lowrank::metrics {

/// How BLEU divides a text into words: sacrebleu's tokenizers of these names (`char` is `characters` here).
enum class WordRule {
  v13a,        ///< mteval-v13a's: ASCII punctuation apart, entities undone
  intl,        ///< mteval-v14's: all punctuation (unless between digits) and symbols of Unicode apart
  characters,  ///< each character a word
  none         ///< split at white space
};

/// The rule's name in sacrebleu: 13a, intl, char, none.
std::string_view name_of(WordRule rule);

/// The words of a text. `intl` asks ICU for the categories of characters, whose tables may be older or newer
/// than those of Python's `regex`.
Words tokenise(std::string_view text, WordRule rule);

/// The text without white space at its end, as Python's str.rstrip.
std::string_view without_space_at_end(std::string_view text);

}  // namespace lowrank::metrics
