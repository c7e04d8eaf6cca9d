#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/core/tokenizer_spec.h"

namespace lowrank {

/// How byte-level text is split for one value of tokenizer.ggml.pre.
struct GgufPreTokenizer {
  std::vector<std::string_view> names;     ///< the first is the one that is written
  std::vector<std::string_view> patterns;  ///< applied one after another
  bool then_gpt2 = false;                  ///< and finally by `gpt2_pattern`
  bool ignore_merges = false;              ///< words that are tokens are taken whole
  bool adds_bos = false;                   ///< texts begin with BOS unless the file says otherwise
};

/// The entry with this name; nullptr: not known.
const GgufPreTokenizer* gguf_pre_tokenizer(std::string_view name);

/// The entry that splits as this tokenizer does (same patterns in the same order, same treatment of words
/// that are tokens); nullptr: none does, or the pieces are not bytes.
const GgufPreTokenizer* gguf_pre_tokenizer_of(const TokenizerSpec& spec);

/// All names, for messages.
std::string gguf_pre_tokenizer_names();

}  // namespace lowrank
