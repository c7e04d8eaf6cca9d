#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/core/token_sink.h"
#include "tokenizer/core/tokenizer_spec.h"
#include "tokenizer/core/vocabulary.h"
#include "tokenizer/models/merges.h"

namespace lowrank {

/// Byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909) over bytes or characters: neighbours are
/// joined in order of rank, leftmost first, until no merge applies.
class Bpe {
 public:
  /// A byte or character without a token becomes the tokens of its bytes (`byte_fallback`), the unknown
  /// token, or nothing if there is none. Errors: as Merges; `where` names the file.
  Bpe(const TokenizerSpec& spec, const std::string& where);

  /// Appends the ids of one piece. Time: n log n in its length. Memory beyond the ids is bounded if every
  /// byte becomes part of some token (`encode_long`).
  void encode(std::string_view piece, TokenSink& ids) const;

 private:
  struct Symbol {
    int32_t token;
    uint32_t begin, end;  ///< its text in the piece
    bool joins;           ///< false for byte-fallback and unknown tokens
  };

  void encode_word(std::string_view word, TokenSink& ids) const;
  void encode_long(std::string_view word, TokenSink& ids) const;
  size_t settled(std::string_view block, const std::vector<Symbol>& symbols) const;
  bool stays(std::string_view block, const std::vector<Symbol>& symbols, size_t at) const;
  void split_bytes(std::string_view word, std::vector<Symbol>& symbols) const;
  void split_characters(std::string_view word, std::vector<Symbol>& symbols) const;
  void merge_short(std::string_view word, std::vector<Symbol>& symbols) const;
  void merge_long(std::string_view word, std::vector<Symbol>& symbols) const;
  std::vector<Symbol> symbols_of(std::string_view word) const;
  std::optional<Merges::Merge> find(std::string_view word, const Symbol& left, const Symbol& right) const;
  bool is_whole(std::string_view word, int32_t token) const;
  void find_word_starts();
  size_t next_word(std::string_view piece, size_t begin) const;
  bool complete(std::string_view word) const;

  Vocabulary vocabulary_;
  Merges merges_;
  bool byte_level_;
  bool fuse_unknown_;
  bool ignore_merges_;
  int32_t unknown_;          ///< -1: none
  int32_t bytes_[256] = {};  ///< tokens of single bytes (byte level or byte fallback); -1: none
  bool byte_fallback_ = false;
  bool cuts_words_ = false;        ///< pieces are cut before U+2581 where no token reaches across
  bool reaches_across_[256] = {};  ///< by the byte before U+2581: some token reaches across
  /// Whether merging a token's text yields the token: 0 not known yet, 1 yes, 2 no. A cache, so races are
  /// benign.
  mutable std::unique_ptr<std::atomic<uint8_t>[]> whole_;
};

}  // namespace lowrank
