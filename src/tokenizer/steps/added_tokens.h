#pragma once

#include <array>
#include <functional>
#include <string_view>
#include <vector>

#include "tokenizer/core/tokenizer_spec.h"

namespace lowrank {

/// Finds added tokens in a text, leftmost and longest first, as Hugging Face's tokenizers do before they
/// split it.
class AddedTokens {
 public:
  explicit AddedTokens(std::vector<AddedToken> tokens);

  /// Calls `text` for the stretches between added tokens and `token` for each of them, in order.
  void split(std::string_view source, const std::function<void(std::string_view)>& text,
             const std::function<void(const AddedToken&)>& token) const;

  /// Whether the text begins with a token.
  bool begin(std::string_view source) const { return !tokens_.empty() && at(source, 0) != nullptr; }

 private:
  /// The longest token at `offset`. Time: its length times the logarithm of the number of tokens.
  const AddedToken* at(std::string_view source, size_t offset) const;

  std::vector<AddedToken> tokens_;  ///< sorted by their bytes
  std::array<bool, 256> begins_{};  ///< bytes with which a token begins
};

}  // namespace lowrank
