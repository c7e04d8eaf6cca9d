#include "data/split.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/rng.h"

namespace lowrank {
namespace {

/// Stream of the run's seed for the split.
constexpr uint64_t split_stream = 2;

/// How many of the sorted indices are of each source.
std::vector<int64_t> counts_within(std::span<const int64_t> indices, std::span<const int64_t> sources) {
  std::vector<int64_t> counts;
  auto begin = indices.begin();
  int64_t end_of_source = 0;
  for (const int64_t source : sources) {
    end_of_source += source;
    const auto end = std::lower_bound(begin, indices.end(), end_of_source);
    counts.push_back(end - begin);
    begin = end;
  }
  return counts;
}

}  // namespace

std::pair<Dataset, Dataset> split_dataset(Dataset dataset, double evaluation_share, uint64_t seed) {
  const auto count = static_cast<int64_t>(dataset.examples.size());
  const bool is_share = evaluation_share > 0 && evaluation_share < 1;
  const int64_t evaluated = is_share ? std::lround(evaluation_share * static_cast<double>(count)) : 0;
  check(evaluated >= 1 && evaluated < count, ErrorKind::invalid,
        "`eval_split` {} of {} rows leaves no row for {}", evaluation_share, count,
        evaluated < 1 ? "evaluation" : "training");
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  Philox random(derive_seed(seed, split_stream));
  shuffle(order, random);
  std::sort(order.begin(), order.begin() + evaluated);
  std::vector<int64_t> training;
  auto next = order.begin();
  for (int64_t i = 0; i < count; ++i) {
    const bool chosen = next != order.begin() + evaluated && *next == i;
    if (chosen)
      ++next;
    else
      training.push_back(i);
  }
  order.resize(evaluated);
  std::pair<Dataset, Dataset> parts;
  dataset.left_out = {};
  const std::vector<int64_t> of_all = dataset.sources;
  dataset.sources = counts_within(training, of_all);
  parts.second.sources = counts_within(order, of_all);
  parts.second.examples = dataset.examples.selected(std::move(order));
  dataset.examples = dataset.examples.selected(std::move(training));
  parts.first = std::move(dataset);
  return parts;
}

}  // namespace lowrank
