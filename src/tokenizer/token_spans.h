#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace lowrank {

/// Bytes [begin, end) of a text.
struct ByteSpan {
  int64_t begin = 0, end = 0;
};

/// The bytes of `text` that each of its tokens stands for. Tokens that stand for nothing have an empty span;
/// white space that an added token takes in belongs to none. `ids` is what `encode` made of the text. Errors:
/// unsupported, with the place, for a tokenizer that rewrites the text (case, accents, unknown characters).
std::vector<ByteSpan> token_spans(const Tokenizer& tokenizer, std::string_view text,
                                  std::span<const int64_t> ids);

}  // namespace lowrank
