#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lowrank {

/// Tokens by id and ids by token.
class Vocabulary {
 public:
  /// `tokens` by id; empty ones do not exist. If two tokens are equal, the first one counts.
  explicit Vocabulary(std::vector<std::string> tokens);
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  /// The token's id; -1: there is none.
  int32_t find(std::string_view token) const {
    const auto found = ids_.find(token);
    return found == ids_.end() ? -1 : found->second;
  }
  const std::string& token(int32_t id) const { return tokens_[id]; }
  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }
  size_t longest() const { return longest_; }  ///< bytes of the longest token

 private:
  std::vector<std::string> tokens_;
  std::unordered_map<std::string_view, int32_t> ids_;  ///< views into tokens_, so the class cannot be copied
  size_t longest_ = 0;
};

}  // namespace lowrank
