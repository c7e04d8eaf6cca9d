#pragma once

#include <string>
#include <string_view>

#include "tokenizer/core/charsmap.h"

namespace lowrank {

/// The text with every grapheme replaced as the reference's `Precompiled` normaliser does it, which is not
/// SentencePiece's longest match: a grapheme under 6 bytes with a match for its beginning becomes that
/// match's replacement, whatever follows in it; any other is replaced character by character. Errors: invalid
/// when ICU fails.
std::string precompiled(std::string_view text, const Charsmap& map);

}  // namespace lowrank
