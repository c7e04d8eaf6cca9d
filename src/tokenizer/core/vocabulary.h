#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/core/hash_index.h"

namespace lowrank {

/// Tokens by id and ids by token.
class Vocabulary {
 public:
  /// `tokens` by id; empty ones do not exist. If two tokens are equal, the first one counts.
  explicit Vocabulary(std::vector<std::string> tokens);

  /// The token's id; -1: there is none.
  int32_t find(std::string_view token) const {
    return ids_.find(hash_of(token), [&](int32_t id) { return tokens_[id] == token; });
  }
  const std::string& token(int32_t id) const { return tokens_[id]; }
  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }
  size_t longest() const { return longest_; }  ///< bytes of the longest token

 private:
  static uint64_t hash_of(std::string_view token) { return std::hash<std::string_view>()(token); }

  std::vector<std::string> tokens_;
  HashIndex ids_;
  size_t longest_ = 0;
};

}  // namespace lowrank
