#include "metrics/ngrams.h"

#include <algorithm>
#include <vector>

#include "base/text/characters.h"

namespace lowrank::metrics {

NgramCounts word_ngrams(const Words& words, size_t order) {
  NgramCounts counts;
  for (size_t i = 0; i + order <= words.size(); ++i) ++counts[words.run(i, order)];
  return counts;
}

NgramCounts character_ngrams(std::string_view text, size_t order) {
  std::vector<size_t> bounds{0};  // of the characters
  for (size_t at = 0; at < text.size();) {
    next_character(text, at);
    bounds.push_back(at);
  }
  NgramCounts counts;
  for (size_t i = 0; i + order < bounds.size(); ++i) {
    ++counts[text.substr(bounds[i], bounds[i + order] - bounds[i])];
  }
  return counts;
}

void take_larger(NgramCounts& counts, const NgramCounts& others) {
  for (const auto& [ngram, count] : others) {
    int64_t& own = counts[ngram];
    own = std::max(own, count);
  }
}

int64_t total(const NgramCounts& counts) {
  int64_t sum = 0;
  for (const auto& [ngram, count] : counts) sum += count;
  return sum;
}

int64_t matches(const NgramCounts& counts, const NgramCounts& others) {
  int64_t sum = 0;
  for (const auto& [ngram, count] : counts) sum += std::min(count, count_of(others, ngram));
  return sum;
}

int64_t count_of(const NgramCounts& counts, std::string_view ngram) {
  const auto found = counts.find(ngram);
  return found == counts.end() ? 0 : found->second;
}

}  // namespace lowrank::metrics
