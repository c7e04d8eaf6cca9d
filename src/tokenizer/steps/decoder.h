#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/core/tokenizer_spec.h"

namespace lowrank {

/// Converts token ids back to text.
class Decoder {
 public:
  explicit Decoder(const TokenizerSpec& spec);

  /// As Tokenizer::decode.
  std::string decode(std::span<const int64_t> ids, bool skip_special_tokens) const;

  /// As Tokenizer::bytes_of.
  std::string_view bytes_of(int64_t id, bool skip_special_tokens) const;

  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }

 private:
  struct Token {
    std::string bytes;
    bool special = false;
    bool is_byte = false;  ///< a byte-fallback token
  };
  std::vector<Token> tokens_;
  int64_t strip_left_;
};

}  // namespace lowrank
