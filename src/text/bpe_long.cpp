// Words of many kilobytes (a line of one letter, a table of blanks), block by block in bounded memory.
//
// What merging gives on the left of a place that no merge crosses does not depend on the right of it. So the
// tokens before such a place are final, and the rest can be encoded as a word of its own. In a block that the
// word goes on behind, a place is proved to be one in two steps. First, some place among the block's last
// bytes is one, since a token has no more bytes than the longest: the word's encoding up to there is that of
// the block's front. Second, two encodings side by side are that of the joined text exactly when the two
// tokens that touch would not merge across if they were alone, because merges elsewhere neither hasten nor
// delay theirs.
#include <algorithm>

#include "text/bpe.h"

namespace lowrank {
namespace {

constexpr size_t least_block = 64 << 10;

bool begins_character(char c) {
  return (static_cast<uint8_t>(c) & 0xC0) != 0x80;
}

}  // namespace

/// True where every byte of the word is part of some token, which spans no more than a token's text.
bool Bpe::complete(std::string_view word) const {
  if (unknown_ >= 0 && !fuse_unknown_) return true;
  return (byte_level_ || byte_fallback_) &&
         std::ranges::all_of(word, [&](char c) { return bytes_[static_cast<uint8_t>(c)] >= 0; });
}

/// Whether a boundary of the block's own tokens is one wherever the block's last token may end in truth.
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

/// How many of a block's tokens are the word's, whatever follows the block; 0: not known.
size_t Bpe::settled(std::string_view block, const std::vector<Symbol>& symbols) const {
  const size_t longest = std::max<size_t>(vocabulary_.longest(), 4);
  for (size_t tail = 4 * longest; tail < block.size() / 2; tail *= 2) {
    const auto after = std::ranges::upper_bound(symbols, block.size() - tail, {}, &Symbol::begin);
    const auto at = static_cast<size_t>(after - symbols.begin());
    // The bytes of one character that stands in no token have its place in common.
    const bool between = at > 1 && at < symbols.size() && symbols[at - 1].end <= symbols[at].begin;
    if (between && stays(block, symbols, at)) return at;
  }
  return 0;
}

void Bpe::encode_long(std::string_view word, TokenSink& ids) const {
  // The proof of a block's end encodes some tokens' length once for each byte of it.
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
