#include "tokenizer/models/bpe.h"

#include <algorithm>
#include <limits>
#include <queue>

#include "base/error.h"
#include "tokenizer/core/byte_level.h"

namespace lowrank {
namespace {

/// Up to this many tokens, scanning for the best pair is faster than a heap.
constexpr size_t short_word = 48;
/// Words longer than this, in bytes, are encoded block by block.
constexpr size_t long_word = 256 << 10;
/// Stands for a space in SentencePiece's vocabularies.
constexpr std::string_view metaspace = "\u2581";

/// Tokens as they appear in text. A token outside the byte alphabet can only occur as an added token.
std::vector<std::string> texts(const TokenizerSpec& spec) {
  if (!spec.byte_level()) return spec.vocabulary;
  std::vector<std::string> texts;
  texts.reserve(spec.vocabulary.size());
  for (const std::string& name : spec.vocabulary) texts.push_back(from_byte_alphabet(name).value_or(""));
  return texts;
}

}  // namespace

Bpe::Bpe(const TokenizerSpec& spec, const std::string& where)
    : vocabulary_(texts(spec)),
      merges_(spec, vocabulary_, where),
      byte_level_(spec.byte_level()),
      fuse_unknown_(spec.fuse_unknown),
      ignore_merges_(spec.ignore_merges),
      unknown_(static_cast<int32_t>(spec.unknown.value_or(-1))) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    bytes_[byte] = vocabulary_.find(byte_level_ ? std::string(1, c) : fmt::format("<0x{:02X}>", byte));
  }
  byte_fallback_ = spec.byte_fallback;
  if (!byte_level_) find_word_starts();
  whole_ = std::make_unique<std::atomic<uint8_t>[]>(spec.vocabulary.size());
}

/// A piece may be cut before U+2581 where no token contains that character after another one: no merge can
/// reach across the cut, and words stay short. The few characters that do precede it in a token are not cut
/// from it.
void Bpe::find_word_starts() {
  cuts_words_ = vocabulary_.find(metaspace) >= 0;
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string& token = vocabulary_.token(id);
    for (size_t at = token.find(metaspace, 1); at != std::string::npos; at = token.find(metaspace, at + 1)) {
      if (!token.substr(0, at).ends_with(metaspace))
        reaches_across_[static_cast<uint8_t>(token[at - 1])] = true;
    }
  }
}

size_t Bpe::next_word(std::string_view piece, size_t begin) const {
  size_t at = begin + 1;
  while ((at = piece.find(metaspace, at)) != std::string_view::npos) {
    const bool in_run = piece.substr(0, at).ends_with(metaspace);
    if (!in_run && !reaches_across_[static_cast<uint8_t>(piece[at - 1])]) return at;
    at += metaspace.size();
  }
  return piece.size();
}

void Bpe::split_bytes(std::string_view word, std::vector<Symbol>& symbols) const {
  bool after_unknown = false;
  for (uint32_t i = 0; i < word.size(); ++i) {
    const int32_t token = bytes_[static_cast<uint8_t>(word[i])];
    if (token >= 0) {
      symbols.push_back({token, i, i + 1, true});
    } else if (unknown_ >= 0 && !(fuse_unknown_ && after_unknown)) {
      symbols.push_back({unknown_, i, i + 1, false});
    }
    after_unknown = token < 0;
  }
}

void Bpe::split_characters(std::string_view word, std::vector<Symbol>& symbols) const {
  bool after_unknown = false;
  for (uint32_t begin = 0, end = 0; begin < word.size(); begin = end) {
    for (end = begin + 1; end < word.size() && (static_cast<uint8_t>(word[end]) & 0xC0) == 0x80;) ++end;
    const std::string_view character = word.substr(begin, end - begin);
    const int32_t token = vocabulary_.find(character);
    const auto byte = [&](char c) { return bytes_[static_cast<uint8_t>(c)]; };
    const bool in_bytes =
        token < 0 && byte_fallback_ && std::ranges::all_of(character, [&](char c) { return byte(c) >= 0; });
    if (token >= 0) {
      symbols.push_back({token, begin, end, true});
    } else if (in_bytes) {
      for (const char c : character) symbols.push_back({byte(c), begin, end, false});
    } else if (unknown_ >= 0 && !(fuse_unknown_ && after_unknown)) {
      symbols.push_back({unknown_, begin, end, false});
    }
    after_unknown = token < 0 && !in_bytes;
  }
}

std::optional<Merges::Merge> Bpe::find(std::string_view word, const Symbol& left, const Symbol& right) const {
  if (!left.joins || !right.joins) return std::nullopt;
  return merges_.find(vocabulary_, left.token, right.token, word.substr(left.begin, right.end - left.begin));
}

void Bpe::merge_short(std::string_view word, std::vector<Symbol>& symbols) const {
  constexpr Merges::Merge none{std::numeric_limits<uint64_t>::max(), -1};
  std::vector<Merges::Merge> pairs(symbols.size(), none);
  const auto look_up = [&](size_t i) {
    return i + 1 < symbols.size() ? find(word, symbols[i], symbols[i + 1]).value_or(none) : none;
  };
  for (size_t i = 0; i < symbols.size(); ++i) pairs[i] = look_up(i);
  while (symbols.size() > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < symbols.size(); ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].result < 0) return;
    symbols[best].token = pairs[best].result;
    symbols[best].end = symbols[best + 1].end;
    symbols.erase(symbols.begin() + static_cast<int64_t>(best) + 1);
    pairs.erase(pairs.begin() + static_cast<int64_t>(best) + 1);
    pairs[best] = look_up(best);
    if (best > 0) pairs[best - 1] = look_up(best - 1);
  }
}

void Bpe::merge_long(std::string_view word, std::vector<Symbol>& symbols) const {
  struct Link {
    int32_t before, after;
  };
  struct Candidate {
    uint64_t rank;
    int32_t at, left, right, result;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  const auto count = static_cast<int32_t>(symbols.size());
  std::vector<Link> links(count);
  for (int32_t i = 0; i < count; ++i) links[i] = {i - 1, i + 1 < count ? i + 1 : -1};
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto push = [&](int32_t i) {
    if (i < 0 || links[i].after < 0) return;
    const Symbol& right = symbols[links[i].after];
    if (const auto merge = find(word, symbols[i], right))
      queue.push({merge->rank, i, symbols[i].token, right.token, merge->result});
  };
  for (int32_t i = 0; i < count; ++i) push(i);
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    // One of the two has been merged since the pair was queued.
    if (symbols[top.at].token != top.left || links[top.at].after < 0 ||
        symbols[links[top.at].after].token != top.right)
      continue;
    const int32_t gone = links[top.at].after;
    symbols[top.at].token = top.result;
    symbols[top.at].end = symbols[gone].end;
    symbols[gone].token = -1;
    links[top.at].after = links[gone].after;
    if (links[gone].after >= 0) links[links[gone].after].before = top.at;
    push(links[top.at].before);
    push(top.at);
  }
  std::erase_if(symbols, [](const Symbol& symbol) { return symbol.token < 0; });
}

std::vector<Bpe::Symbol> Bpe::symbols_of(std::string_view word) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  byte_level_ ? split_bytes(word, symbols) : split_characters(word, symbols);
  symbols.size() <= short_word ? merge_short(word, symbols) : merge_long(word, symbols);
  return symbols;
}

bool Bpe::is_whole(std::string_view word, int32_t token) const {
  if (ignore_merges_) return true;
  std::atomic<uint8_t>& known = whole_[token];
  uint8_t state = known.load(std::memory_order_relaxed);
  if (state == 0) {
    const std::vector<Symbol> symbols = symbols_of(word);
    state = symbols.size() == 1 && symbols.front().token == token ? 1 : 2;
    known.store(state, std::memory_order_relaxed);
  }
  return state == 1;
}

void Bpe::encode_word(std::string_view word, TokenSink& ids) const {
  if (word.size() <= vocabulary_.longest()) {
    const int32_t token = vocabulary_.find(word);
    if (token >= 0 && is_whole(word, token)) return ids.push(token);
  }
  if (word.size() > long_word) return encode_long(word, ids);
  for (const Symbol& symbol : symbols_of(word)) ids.push(symbol.token);
}

void Bpe::encode(std::string_view piece, TokenSink& ids) const {
  if (!cuts_words_) return encode_word(piece, ids);
  for (size_t begin = 0; begin < piece.size();) {
    const size_t end = next_word(piece, begin);
    encode_word(piece.substr(begin, end - begin), ids);
    begin = end;
  }
}

}  // namespace lowrank
