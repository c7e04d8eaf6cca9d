#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace lowrank {

/// A text with all special tokens.
struct WholeText {
  std::vector<int64_t> ids;
  int64_t length = 0;  ///< tokens before it was cut
};

/// The text's ids between the tokenizer's prefix and suffix, at most `most`.
WholeText encode_whole(const Tokenizer& tokenizer, std::string_view text, int64_t most);

/// Truncates the ids of a whole text to `max_length`, keeping the tokenizer's suffix at the end.
void cut_text(std::vector<int64_t>& tokens, int64_t max_length, const Tokenizer& tokenizer);

}  // namespace lowrank
