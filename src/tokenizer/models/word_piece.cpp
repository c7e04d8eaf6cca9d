#include "tokenizer/models/word_piece.h"

#include <algorithm>

#include "base/error.h"

namespace lowrank {
namespace {

bool begins_character(char c) {
  return (static_cast<uint8_t>(c) & 0xC0) != 0x80;
}

}  // namespace

WordPiece::WordPiece(const TokenizerSpec& spec, const std::string& where)
    : vocabulary_(spec.vocabulary),
      prefix_(spec.continuing_prefix),
      max_characters_(spec.max_word_characters),
      unknown_(spec.unknown.value_or(-1)) {
  check(spec.unknown.has_value(), ErrorKind::invalid, "{}: a WordPiece tokenizer needs an unknown token",
        where);
}

void WordPiece::encode(std::string_view word, TokenSink& ids) const {
  if (std::ranges::count_if(word, begins_character) > max_characters_) return ids.push(unknown_);
  std::vector<int64_t> tokens;
  std::string candidate;
  for (size_t begin = 0; begin < word.size();) {
    candidate = begin > 0 ? prefix_ : "";
    const size_t marked = candidate.size();
    candidate += word.substr(begin, vocabulary_.longest());
    int32_t token = -1;
    for (; candidate.size() > marked; candidate.pop_back()) {
      const size_t end = begin + candidate.size() - marked;
      if (end < word.size() && !begins_character(word[end])) continue;
      token = vocabulary_.find(candidate);
      if (token >= 0) break;
    }
    if (token < 0) return ids.push(unknown_);
    tokens.push_back(token);
    begin += candidate.size() - marked;
  }
  for (const int64_t token : tokens) ids.push(token);
}

}  // namespace lowrank
