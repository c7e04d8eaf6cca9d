#pragma once

#include <string_view>

#include "metrics/words.h"

namespace lowrank::metrics {

/// The words of a description as COCO and the E2E challenge prepare them for ROUGE-L and CIDEr: in lower case
/// and without punctuation, as pycocoevalcap has them from Stanford's PTBTokenizer 3.4.1. This is not that
/// tokenizer but its rules for plain English: brackets, currencies, contractions, abbreviations. It gives the
/// same words for all 4,693 references of E2E's test set and for 99 % of the 2,268 of WebNLG's development
/// set; rarer abbreviations and numbers with units (1.8g) differ.
Words caption_words(std::string_view text);

}  // namespace lowrank::metrics
