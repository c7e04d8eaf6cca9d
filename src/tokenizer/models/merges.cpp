#include "tokenizer/models/merges.h"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "base/error.h"

namespace lowrank {
namespace {

/// Bits of a rank made from scores, highest first: place of the score, longer left part first, longer right
/// part first, order of the vocabulary.
constexpr int id_bits = 21;
constexpr int length_bits = 11;
constexpr uint64_t length_mask = (uint64_t{1} << length_bits) - 1;

uint16_t characters(std::string_view text) {
  const auto count =
      std::ranges::count_if(text, [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; });
  return static_cast<uint16_t>(std::min<int64_t>(count, static_cast<int64_t>(length_mask)));
}

/// Places of scores, the highest first.
std::vector<int32_t> places(const std::vector<float>& scores) {
  std::vector<int32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int32_t a, int32_t b) { return scores[a] > scores[b]; });
  std::vector<int32_t> place(scores.size());
  int32_t current = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && scores[order[i]] < scores[order[i - 1]]) ++current;
    place[order[i]] = current;
  }
  return place;
}

}  // namespace

Merges::Merges(const TokenizerSpec& spec, const Vocabulary& vocabulary, const std::string& where) {
  if (!spec.scores.empty()) {
    check(spec.vocabulary.size() < size_t{1} << id_bits, ErrorKind::unsupported,
          "{}: {} tokens with scores are more than the {} that can be used", where, spec.vocabulary.size(),
          size_t{1} << id_bits);
    ranks_ = places(spec.scores);
    lengths_.reserve(spec.vocabulary.size());
    for (int32_t id = 0; id < vocabulary.size(); ++id) lengths_.push_back(characters(vocabulary.token(id)));
    return;
  }
  std::unordered_map<std::string_view, int32_t> by_name;  // in the byte alphabet, if byte-level
  by_name.reserve(spec.vocabulary.size());
  for (size_t id = 0; id < spec.vocabulary.size(); ++id) {
    if (!spec.vocabulary[id].empty()) by_name.emplace(spec.vocabulary[id], static_cast<int32_t>(id));
  }
  listed_.reserve(spec.merges.size());
  places_ = HashIndex(spec.merges.size());
  for (size_t rank = 0; rank < spec.merges.size(); ++rank) {
    const auto& [left, right] = spec.merges[rank];
    const auto first = by_name.find(left);
    const auto second = by_name.find(right);
    const auto result = by_name.find(left + right);
    check(first != by_name.end() && second != by_name.end() && result != by_name.end(), ErrorKind::invalid,
          "{}: merge {} (\"{}\" \"{}\") has a part or a result that is no token", where, rank, left, right);
    const Listed listed{key(first->second, second->second), {rank, result->second}};
    const int32_t place = place_of(listed.pair);
    if (place >= 0) {
      listed_[place] = listed;
    } else {
      places_.add(hash_of(listed.pair), static_cast<int32_t>(listed_.size()));
      listed_.push_back(listed);
    }
  }
}

std::optional<Merges::Merge> Merges::by_score(const Vocabulary& vocabulary, int32_t left, int32_t right,
                                              std::string_view joined) const {
  const int32_t result = vocabulary.find(joined);
  if (result < 0) return std::nullopt;
  const auto before = [&](int32_t id) { return length_mask - lengths_[id]; };
  const uint64_t place = static_cast<uint32_t>(ranks_[result]);
  return Merge{((place << length_bits | before(left)) << length_bits | before(right)) << id_bits |
                   static_cast<uint32_t>(result),
               result};
}

std::vector<std::pair<std::string, std::string>> Merges::of_scores(const TokenizerSpec& spec) {
  const Vocabulary vocabulary(spec.vocabulary);
  const Merges merges(spec, vocabulary, "");
  struct Ranked {
    uint64_t rank;
    int32_t left, right;
  };
  std::vector<Ranked> found;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const std::string_view token = vocabulary.token(id);
    for (size_t cut = 1; cut < token.size(); ++cut) {
      const int32_t left = vocabulary.find(token.substr(0, cut));
      const int32_t right = left < 0 ? -1 : vocabulary.find(token.substr(cut));
      if (right >= 0) found.push_back({merges.by_score(vocabulary, left, right, token)->rank, left, right});
    }
  }
  std::ranges::sort(found, {}, &Ranked::rank);
  std::vector<std::pair<std::string, std::string>> list;
  list.reserve(found.size());
  for (const Ranked& merge : found)
    list.emplace_back(spec.vocabulary[merge.left], spec.vocabulary[merge.right]);
  return list;
}

}  // namespace lowrank
