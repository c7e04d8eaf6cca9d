#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/core/token_sink.h"
#include "tokenizer/core/tokenizer_spec.h"
#include "tokenizer/core/vocabulary.h"

namespace lowrank {

/// WordPiece (Schuster and Nakajima 2012, as in BERT): the longest token at the front of a word, then the
/// longest continuation, and so on; a word that cannot be split this way is unknown as a whole.
class WordPiece {
 public:
  /// Errors: invalid without an unknown token; `where` names the file.
  WordPiece(const TokenizerSpec& spec, const std::string& where);

  /// Appends the ids of one word. Time: its length times that of the longest token.
  void encode(std::string_view word, TokenSink& ids) const;

 private:
  Vocabulary vocabulary_;
  std::string prefix_;
  int64_t max_characters_;
  int64_t unknown_;
};

}  // namespace lowrank
