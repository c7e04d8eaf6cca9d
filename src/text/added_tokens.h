#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "text/tokenizer_spec.h"

namespace lowrank {

/// Finds added tokens in a text, leftmost first and longest first, as Hugging Face's tokenizers do before
/// they split it.
class AddedTokens {
 public:
  explicit AddedTokens(std::vector<AddedToken> tokens);

  /// Calls `text` for the stretches between added tokens and `token` for each of them, in order.
  void split(std::string_view source, const std::function<void(std::string_view)>& text,
             const std::function<void(const AddedToken&)>& token) const;

  /// Whether a token stands at the front of the text.
  bool begin(std::string_view source) const { return !tokens_.empty() && at(source, 0) != nullptr; }

 private:
  /// The longest one that stands at `offset`. Time is that length times the logarithm of their number.
  const AddedToken* at(std::string_view source, size_t offset) const;

  std::vector<AddedToken> tokens_;  ///< in the order of their bytes
};

}  // namespace lowrank
