#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/core/hash_index.h"
#include "tokenizer/core/tokenizer_spec.h"
#include "tokenizer/core/vocabulary.h"

namespace lowrank {

/// Which neighbours byte-pair encoding joins, and in what order.
class Merges {
 public:
  struct Merge {
    uint64_t rank;  ///< the lowest goes first
    int32_t result;
  };

  /// From the spec's scores or, without any, from its list. If a merge is listed twice, the last one counts,
  /// as in Hugging Face's tokenizers. Errors: invalid if a merge's parts or its result are not tokens;
  /// `where` names the file.
  Merges(const TokenizerSpec& spec, const Vocabulary& vocabulary, const std::string& where);

  /// What two neighbours become; nothing if they are not joined. `joined`: the text of both, which must be
  /// the text of the result.
  std::optional<Merge> find(const Vocabulary& vocabulary, int32_t left, int32_t right,
                            std::string_view joined) const {
    if (!ranks_.empty()) return by_score(vocabulary, left, right, joined);
    const int32_t found = place_of(key(left, right));
    return found < 0 ? std::nullopt : std::optional(listed_[found].merge);
  }

  /// The list that scores imply, in order of rank, as transformers derives it.
  static std::vector<std::pair<std::string, std::string>> of_scores(const TokenizerSpec& spec);

 private:
  struct Listed {
    uint64_t pair;
    Merge merge;
  };
  /// MurmurHash3's finaliser (Appleby): all bits depend on all bits.
  static uint64_t hash_of(uint64_t pair) {
    pair = (pair ^ pair >> 33) * 0xFF51AFD7ED558CCDU;
    pair = (pair ^ pair >> 33) * 0xC4CEB9FE1A85EC53U;
    return pair ^ pair >> 33;
  }
  int32_t place_of(uint64_t pair) const {
    return places_.find(hash_of(pair), [&](int32_t place) { return listed_[place].pair == pair; });
  }
  static uint64_t key(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  std::optional<Merge> by_score(const Vocabulary& vocabulary, int32_t left, int32_t right,
                                std::string_view joined) const;

  std::vector<Listed> listed_;
  HashIndex places_;               ///< in listed_
  std::vector<int32_t> ranks_;     ///< by id, place of the score: 0 is the highest, equal ones share a place
  std::vector<uint16_t> lengths_;  ///< by id, in characters
};

}  // namespace lowrank
