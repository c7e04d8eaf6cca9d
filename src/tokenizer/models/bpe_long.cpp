// Encodes words of many kilobytes (one letter repeated, a run of blanks) block by block in bounded memory.
//
// Call a position settled if no merge crosses it. The tokens to its left do not depend on the text to its
// right, so they are final, and the rest can be encoded as a word of its own. If the word continues after a
// block, a position in the block is proved to be settled in two steps. First, some position among the block's
// last bytes is settled, since no token has more bytes than the longest: up to there, the word's encoding is
// that of the block's front. Second, two encodings side by side are the encoding of the joined text exactly
// if the two adjacent tokens, taken alone, would not merge across the boundary, because merges elsewhere
// neither hasten nor delay merges there.
#include <algorithm>

#include "tokenizer/models/bpe.h"

namespace lowrank {
namespace {

constexpr size_t least_block = 64 << 10;

bool begins_character(char c) {
  return (static_cast<uint8_t>(c) & 0xC0) != 0x80;
}

}  // namespace

/// True if every byte of the word becomes part of some token and no token spans more than a token's text.
bool Bpe::complete(std::string_view word) const {
  if (unknown_ >= 0 && !fuse_unknown_) return true;
  return (byte_level_ || byte_fallback_) &&
         std::ranges::all_of(word, [&](char c) { return bytes_[static_cast<uint8_t>(c)] >= 0; });
}

/// Whether the boundary before the block's token `at` is settled in the word, whichever of the block's last
/// positions is settled.
bool Bpe::stays(std::string_view block, const std::vector<Symbol>& symbols, size_t at) const {
  const size_t begin = symbols[at].begin;
  const std::string_view before = block.substr(symbols[at - 1].begin, begin - symbols[at - 1].begin);
  const size_t longest = std::max<size_t>(vocabulary_.longest(), 4);
  for (size_t end = block.size() - longest; end <= block.size(); ++end) {
    if (end < block.size() && !byte_level_ && !begins_character(block[end])) continue;
    const std::vector<Symbol> after = symbols_of(block.substr(begin, end - begin));
    const std::string pair = std::string(before) + std::string(block.substr(begin, after.front().end));
    const std::vector<Symbol> joined = symbols_of(pair);
    const bool apart =
        std::ranges::any_of(joined, [&](const Symbol& symbol) { return symbol.begin == before.size(); });
    if (!apart) return false;
  }
  return true;
}

/// How many of a block's tokens are final, whatever follows the block; 0: not known.
size_t Bpe::settled(std::string_view block, const std::vector<Symbol>& symbols) const {
  const size_t longest = std::max<size_t>(vocabulary_.longest(), 4);
  for (size_t tail = 4 * longest; tail < block.size() / 2; tail *= 2) {
    const auto after = std::ranges::upper_bound(symbols, block.size() - tail, {}, &Symbol::begin);
    const auto at = static_cast<size_t>(after - symbols.begin());
    // The byte tokens of a character without a token of its own all have that character's range.
    const bool between = at > 1 && at < symbols.size() && symbols[at - 1].end <= symbols[at].begin;
    if (between && stays(block, symbols, at)) return at;
  }
  return 0;
}

void Bpe::encode_long(std::string_view word, TokenSink& ids) const {
  // Proving a boundary encodes a few token lengths of text once for each byte of the longest token.
  const size_t block = std::max(least_block, 4 * vocabulary_.longest() * vocabulary_.longest());
  size_t size = complete(word) ? block : word.size();
  while (!word.empty()) {
    size = std::min(size, word.size());
    while (size < word.size() && !begins_character(word[size])) ++size;
    const std::vector<Symbol> symbols = symbols_of(word.substr(0, size));
    const size_t kept = size == word.size() ? symbols.size() : settled(word.substr(0, size), symbols);
    for (size_t i = 0; i < kept; ++i) ids.push(symbols[i].token);
    if (size == word.size()) return;
    if (kept > 0) word.remove_prefix(symbols[kept].begin);
    size = kept > 0 ? block : 2 * size;
  }
}

}  // namespace lowrank
