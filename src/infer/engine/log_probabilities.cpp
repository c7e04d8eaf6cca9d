#include "infer/engine/log_probabilities.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lowrank {

double log_sum_exp(std::span<const float> logits) {
  const float most = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - most);
  return most + std::log(sum);
}

ChosenToken log_probabilities(std::span<const float> logits, int64_t token, int64_t top) {
  const double total = log_sum_exp(logits);
  ChosenToken chosen{token, logits[token] - total};
  if (top <= 0) return chosen;
  std::vector<int64_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto end = ids.begin() + std::min<int64_t>(top, std::ssize(ids));
  std::ranges::partial_sort(
      ids, end, [&](int64_t a, int64_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
  for (auto id = ids.begin(); id != end; ++id) chosen.top.push_back({*id, logits[*id] - total});
  return chosen;
}

}  // namespace lowrank
