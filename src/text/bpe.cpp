#include "text/bpe.h"

#include <limits>
#include <queue>

#include "base/error.h"
#include "text/byte_level.h"

namespace lowrank {
namespace {

/// Up to so many tokens a scan for the best pair is faster than a heap.
constexpr size_t short_piece = 48;

uint64_t pair_key(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

}  // namespace

Bpe::Bpe(const TokenizerSpec& spec, const std::string& where)
    : unknown_(static_cast<int32_t>(spec.unknown.value_or(-1))),
      fuse_unknown_(spec.fuse_unknown),
      ignore_merges_(spec.ignore_merges) {
  tokens_.resize(spec.vocabulary.size());
  std::unordered_map<std::string_view, int32_t> by_name;
  by_name.reserve(tokens_.size());
  by_bytes_.reserve(tokens_.size());
  for (size_t id = 0; id < tokens_.size(); ++id) {
    const std::string& name = spec.vocabulary[id];
    if (name.empty()) continue;
    by_name.emplace(name, static_cast<int32_t>(id));
    // A token outside the alphabet is only ever met as an added token.
    std::optional<std::string> bytes = from_byte_alphabet(name);
    if (!bytes) continue;
    tokens_[id] = std::move(*bytes);
    by_bytes_.emplace(tokens_[id], static_cast<int32_t>(id));
  }
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const auto found = by_name.find(to_byte_alphabet({&c, 1}));
    bytes_[byte] = found != by_name.end() ? found->second : -1;
  }
  merges_.reserve(spec.merges.size());
  for (size_t rank = 0; rank < spec.merges.size(); ++rank) {
    const auto& [left, right] = spec.merges[rank];
    const auto first = by_name.find(left);
    const auto second = by_name.find(right);
    const auto result = by_name.find(left + right);
    check(first != by_name.end() && second != by_name.end() && result != by_name.end(), ErrorKind::invalid,
          "{}: merge {} (\"{}\" \"{}\") has a part or a result that is no token", where, rank, left, right);
    merges_.insert_or_assign(pair_key(first->second, second->second),
                             Merge{static_cast<int32_t>(rank), result->second});
  }
  whole_ = std::make_unique<std::atomic<uint8_t>[]>(tokens_.size());
}

void Bpe::split_bytes(std::string_view piece, std::vector<int32_t>& tokens) const {
  tokens.reserve(piece.size());
  bool after_unknown = false;
  for (const char c : piece) {
    const int32_t token = bytes_[static_cast<uint8_t>(c)];
    if (token >= 0) {
      tokens.push_back(token);
    } else if (unknown_ >= 0 && !(fuse_unknown_ && after_unknown)) {
      tokens.push_back(unknown_);
    }
    after_unknown = token < 0;
  }
}

const Bpe::Merge* Bpe::find(int32_t left, int32_t right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void Bpe::merge_short(std::vector<int32_t>& tokens) const {
  std::vector<Merge> pairs(tokens.size());
  constexpr Merge none{std::numeric_limits<int32_t>::max(), -1};
  const auto look_up = [&](size_t i) {
    const Merge* merge = i + 1 < tokens.size() ? find(tokens[i], tokens[i + 1]) : nullptr;
    return merge ? *merge : none;
  };
  for (size_t i = 0; i < tokens.size(); ++i) pairs[i] = look_up(i);
  while (tokens.size() > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < tokens.size(); ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].result < 0) return;
    tokens[best] = pairs[best].result;
    tokens.erase(tokens.begin() + static_cast<int64_t>(best) + 1);
    pairs.erase(pairs.begin() + static_cast<int64_t>(best) + 1);
    pairs[best] = look_up(best);
    if (best > 0) pairs[best - 1] = look_up(best - 1);
  }
}

void Bpe::merge_long(std::vector<int32_t>& tokens) const {
  struct Link {
    int32_t before, after;
  };
  struct Candidate {
    int32_t rank, at, left, right, result;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  const auto count = static_cast<int32_t>(tokens.size());
  std::vector<Link> links(count);
  for (int32_t i = 0; i < count; ++i) links[i] = {i - 1, i + 1 < count ? i + 1 : -1};
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto push = [&](int32_t i) {
    if (i < 0 || links[i].after < 0) return;
    const int32_t right = tokens[links[i].after];
    if (const Merge* merge = find(tokens[i], right))
      queue.push({merge->rank, i, tokens[i], right, merge->result});
  };
  for (int32_t i = 0; i < count; ++i) push(i);
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    // One of the two was merged since the pair was queued.
    if (tokens[top.at] != top.left || links[top.at].after < 0 || tokens[links[top.at].after] != top.right)
      continue;
    const int32_t gone = links[top.at].after;
    tokens[top.at] = top.result;
    tokens[gone] = -1;
    links[top.at].after = links[gone].after;
    if (links[gone].after >= 0) links[links[gone].after].before = top.at;
    push(links[top.at].before);
    push(top.at);
  }
  std::erase(tokens, -1);
}

bool Bpe::is_whole(std::string_view piece, int32_t token) const {
  if (ignore_merges_) return true;
  std::atomic<uint8_t>& known = whole_[token];
  uint8_t state = known.load(std::memory_order_relaxed);
  if (state == 0) {
    std::vector<int32_t> tokens;
    split_bytes(piece, tokens);
    merge_short(tokens);
    state = tokens.size() == 1 && tokens.front() == token ? 1 : 2;
    known.store(state, std::memory_order_relaxed);
  }
  return state == 1;
}

void Bpe::encode(std::string_view piece, std::vector<int64_t>& ids) const {
  if (piece.size() <= short_piece || ignore_merges_) {
    const auto found = by_bytes_.find(piece);
    if (found != by_bytes_.end() && is_whole(piece, found->second)) {
      ids.push_back(found->second);
      return;
    }
  }
  std::vector<int32_t> tokens;
  split_bytes(piece, tokens);
  if (tokens.size() <= short_piece) {
    merge_short(tokens);
  } else {
    merge_long(tokens);
  }
  ids.insert(ids.end(), tokens.begin(), tokens.end());
}

}  // namespace lowrank
