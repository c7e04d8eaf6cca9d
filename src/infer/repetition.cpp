#include "infer/repetition.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace lowrank {

void penalise_seen(std::span<float> scores, std::span<const int64_t> seen, double penalty) {
  std::vector<int64_t> ids(seen.begin(), seen.end());
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  const auto factor = static_cast<float>(penalty);
  for (const int64_t id : ids) {
    if (id < 0 || id >= std::ssize(scores)) continue;
    scores[id] = scores[id] > 0 ? scores[id] / factor : scores[id] * factor;
  }
}

void exclude_repeated_ngrams(std::span<float> scores, std::span<const int64_t> seen, int64_t size) {
  if (std::ssize(seen) < size) return;
  const auto start = seen.last(size - 1);
  for (int64_t i = 0; i + size <= std::ssize(seen); ++i) {
    const int64_t id = seen[i + size - 1];
    if (id >= 0 && id < std::ssize(scores) && std::ranges::equal(seen.subspan(i, size - 1), start))
      scores[id] = -std::numeric_limits<float>::infinity();
  }
}

}  // namespace lowrank
