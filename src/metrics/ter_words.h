#pragma once

#include <string_view>

#include "metrics/words.h"

namespace lowrank::metrics {

struct TerWordOptions {
  bool case_sensitive = false;
  bool normalised = false;      ///< undo entities, set punctuation and 's apart
  bool no_punctuation = false;  ///< leave out . , ? : ; ! " ( )
  bool asian = false;           ///< treat Chinese and Japanese characters, too, with either of the two above
};

/// The words of a text as Tercom has them (sacrebleu's `tercom`). Of the rules for Japanese syllables, which
/// sacrebleu anchors at the start of a text that always begins with a space, none ever acts, so there is none
/// here.
Words ter_words(std::string_view text, const TerWordOptions& options);

}  // namespace lowrank::metrics
