#pragma once

#include <cstdint>
#include <string>

#include "data/compared/compared_row.h"
#include "data/examples/example.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

/// What stands in front of texts whose embeddings are compared.
struct TextPrompts {
  std::string query;     ///< of each row's first text
  std::string document;  ///< of the others
};

/// The example of a row: its texts, each with its prompt and all special tokens and cut to `max_length` tokens
/// (0: whole), one after the other, and its score.
Example encode_compared(const Tokenizer& tokenizer, const ComparedRow& row, const TextPrompts& prompts,
                        int64_t line, int64_t max_length);

}  // namespace lowrank
