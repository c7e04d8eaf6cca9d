#include "data/order/weighted_examples.h"

namespace lowrank {

int64_t WeightedExamples::epoch_size() const {
  if (early) return rows();
  if (!is_weighted(sources)) return std::ssize(examples);
  int64_t count = 0;
  for (const SourceShare& source : sources) count += source.taken();
  return count;
}

double WeightedExamples::epoch_tokens() const {
  if (!is_weighted(sources)) return static_cast<double>(examples.token_count());
  const std::vector<int32_t> lengths = examples.lengths();
  double all = 0;
  auto next = lengths.begin();
  for (const SourceShare& source : sources) {
    double tokens = 0;
    for (int64_t i = 0; i < source.count; ++i) tokens += *next++;
    if (source.count > 0)
      all += tokens * static_cast<double>(source.taken()) / static_cast<double>(source.count);
  }
  return all;
}

}  // namespace lowrank
