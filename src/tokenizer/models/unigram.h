#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/core/token_sink.h"
#include "tokenizer/core/tokenizer_spec.h"
#include "tokenizer/models/piece_trie.h"

namespace lowrank {

/// A unigram language model (Kudo 2018, arXiv 1804.10959): of all ways to divide a text into tokens, the one
/// with the highest sum of log-probabilities. A character that is no token is unknown, at 10 less than the
/// least likely token; unknown neighbours are one token, or the tokens of their bytes (`byte_fallback`).
class Unigram {
 public:
  /// Errors: invalid for a token without a log-probability; `where` names the file.
  Unigram(const TokenizerSpec& spec, const std::string& where);

  /// Appends the ids of one piece. Time: its length times that of the longest text that begins like a token.
  /// Memory beyond the ids: constant, unless ways to divide the text stay equal over all of it. Errors:
  /// invalid for an unknown character if there is no unknown token.
  void encode(std::string_view piece, TokenSink& ids) const;

 private:
  class Search;
  void push_unknown(std::string_view text, TokenSink& ids) const;

  PieceTrie pieces_;
  std::vector<double> log_probabilities_;
  double unknown_log_probability_ = 0;
  int32_t unknown_;          ///< -1: none
  bool byte_fallback_;       ///< unknown text becomes the tokens of its bytes
  int32_t bytes_[256] = {};  ///< tokens of bytes; -1: none
};

}  // namespace lowrank
