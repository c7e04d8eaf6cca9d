#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer_spec.h"

namespace lowrank {

/// Byte-pair encoding over bytes (Sennrich et al. 2016, arXiv 1508.07909): adjacent tokens are joined in
/// order of rank, leftmost first, until no merge applies.
class Bpe {
 public:
  /// A byte without a token becomes the unknown token, or nothing where there is none, and of two equal
  /// merges the last counts, as in Hugging Face's tokenizers. Errors: invalid when a merge's parts or its
  /// result are not tokens. `where` names the file.
  Bpe(const TokenizerSpec& spec, const std::string& where);

  /// Appends the ids of one piece. Time n log n in its length.
  void encode(std::string_view piece, std::vector<int64_t>& ids) const;

 private:
  struct Merge {
    int32_t rank, result;
  };
  struct Hash {
    size_t operator()(uint64_t pair) const { return (pair ^ pair >> 29) * 0x9E3779B97F4A7C15U; }
  };

  void split_bytes(std::string_view piece, std::vector<int32_t>& tokens) const;
  const Merge* find(int32_t left, int32_t right) const;
  void merge_short(std::vector<int32_t>& tokens) const;
  void merge_long(std::vector<int32_t>& tokens) const;
  bool is_whole(std::string_view piece, int32_t token) const;

  std::vector<std::string> tokens_;  ///< raw bytes by id
  std::unordered_map<std::string_view, int32_t> by_bytes_;
  std::unordered_map<uint64_t, Merge, Hash> merges_;
  int32_t bytes_[256] = {};  ///< -1: none
  int32_t unknown_;          ///< -1: none
  bool fuse_unknown_;
  bool ignore_merges_;
  /// Whether merging a token's bytes gives the token back: 0 not known yet, 1 yes, 2 no. A memo, so benign to
  /// race on.
  mutable std::unique_ptr<std::atomic<uint8_t>[]> whole_;
};

}  // namespace lowrank
