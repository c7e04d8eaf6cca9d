#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/compared/compared_row.h"
#include "data/examples/example.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

/// What stands in front of texts whose embeddings are compared.
struct TextPrompts {
  std::string query;     ///< of each row's first text
  std::string document;  ///< of the others
};

/// The example of a row: its texts, each with its prompt and all special tokens and cut to `max_length`
/// tokens (0: whole), one after the other, and its score as its label. Where a text ends, its last token is a
/// target. Errors: invalid for a text of no tokens.
Example encode_compared(const Tokenizer& tokenizer, const ComparedRow& row, const TextPrompts& prompts,
                        const std::string& where, int64_t max_length);

/// Where each text of such an example ends in its tokens.
std::vector<int64_t> text_ends(const Example& example);

}  // namespace lowrank
