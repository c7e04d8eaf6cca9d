#pragma once

#include <string>
#include <string_view>

#include "data/encode_row.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

/// What stands around the targets of a shown example.
struct TargetMarks {
  std::string_view begin = "\u27e6", end = "\u27e7";  ///< brackets
};

/// Green for targets, on terminals that show colours.
inline constexpr TargetMarks coloured_targets{"\033[32m", "\033[0m"};

/// An example as it is learned: a line with its counts, then its text as the model reads it, special tokens
/// among it, with marks around each run of targets. Without a tokenizer, its ids. Ends with a newline.
/// Control characters of the text other than newlines and tabs are shown as \xNN. `in_array`: the example's
/// line is the number of its row in a JSON array.
std::string shown_example(const Example& example, const Tokenizer* tokenizer, const TargetMarks& marks = {},
                          bool in_array = false);

}  // namespace lowrank
