#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lowrank {

/// A token that is found in the text before anything else looks at it.
struct AddedToken {
  std::string content;
  int64_t id = 0;
  bool special = false;      ///< left out when decoding without special tokens
  bool single_word = false;  ///< only between non-word characters
  bool lstrip = false;       ///< takes the white space before it along
  bool rstrip = false;       ///< and after it
  bool normalized = false;   ///< looked for in the normalised text, after those that are not
};

/// Everything that a byte-level BPE tokenizer needs, whichever file it was read from.
struct TokenizerSpec {
  std::vector<std::string> vocabulary;  ///< by id, in the byte-level alphabet; empty: no such id
  std::vector<std::pair<std::string, std::string>> merges;  ///< in order of rank, in the same alphabet
  std::vector<std::string> split_patterns;  ///< applied in turn; matches and gaps become pieces
  std::vector<AddedToken> added;
  bool nfc = false;                     ///< the text is normalised first
  bool add_prefix_space = false;        ///< in front of each piece of `split_patterns` that has none
  bool split_words = true;              ///< these are cut by `gpt2_pattern` then
  bool ignore_merges = false;           ///< a piece that is a token is taken whole
  bool fuse_unknown = false;            ///< adjacent bytes without a token become one `unknown`
  std::vector<int64_t> prefix, suffix;  ///< special tokens around every encoded text
  std::optional<int64_t> bos, eos, pad;
  std::optional<int64_t> unknown;   ///< for bytes that have no token
  std::vector<int64_t> end_tokens;  ///< those that end a generation
  std::string chat_template;
};

/// GPT-2's split into words, numbers and punctuation, each with the space before it; white space is spelled
/// out because PCRE2's and Oniguruma's classes differ.
std::string gpt2_pattern();
/// Every digit of any script alone (the `Digits` pre-tokenizer with individual digits).
std::string digit_pattern();

}  // namespace lowrank
