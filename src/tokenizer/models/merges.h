#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

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
    const auto found = listed_.find(key(left, right));
    return found == listed_.end() ? std::nullopt : std::optional(found->second);
  }

  /// The list that scores imply, in order of rank, as transformers derives it.
  static std::vector<std::pair<std::string, std::string>> of_scores(const TokenizerSpec& spec);

 private:
  struct Hash {
    size_t operator()(uint64_t pair) const { return (pair ^ pair >> 29) * 0x9E3779B97F4A7C15U; }
  };
  static uint64_t key(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  std::optional<Merge> by_score(const Vocabulary& vocabulary, int32_t left, int32_t right,
                                std::string_view joined) const;

  std::unordered_map<uint64_t, Merge, Hash> listed_;
  std::vector<int32_t> ranks_;     ///< by id, place of the score: 0 is the highest, equal ones share a place
  std::vector<uint16_t> lengths_;  ///< by id, in characters
};

}  // namespace lowrank
