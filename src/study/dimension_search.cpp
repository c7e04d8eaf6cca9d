#include "study/dimension_search.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace lowrank {
namespace {

/// The rungs, at least 1 apart; the last one is `to`.
std::vector<int64_t> ladder(const DimensionRange& range) {
  std::vector<int64_t> rungs;
  int64_t next = range.from;
  for (auto exact = static_cast<double>(range.from); next < range.to; next = std::llround(exact)) {
    if (rungs.empty() || next > rungs.back()) rungs.push_back(next);
    exact *= range.factor;
  }
  rungs.push_back(range.to);
  return rungs;
}

}  // namespace

DimensionSearch smallest_dimension(const std::function<double(int64_t)>& quality, double goal,
                                   const DimensionRange& range) {
  check(range.from >= 1 && range.from <= range.to, ErrorKind::invalid,
        "there is no dimension from {} to {}; give other bounds", range.from, range.to);
  check(range.factor > 1 && range.precision > 1, ErrorKind::invalid,
        "a search in steps of {} to a precision of {} never ends; both must be above 1", range.factor,
        range.precision);
  DimensionSearch search;
  const auto reaches = [&](int64_t dimension) {
    search.tried.push_back({dimension, quality(dimension)});
    return search.tried.back().quality >= goal;
  };
  int64_t miss = 0;
  for (const int64_t rung : ladder(range)) {
    const bool hit = reaches(rung);
    if (hit && !search.smallest) search.smallest = rung;
    if (!search.smallest) miss = rung;
    if (search.smallest && !range.whole_ladder) break;
  }
  while (search.smallest && miss > 0) {
    const auto low = static_cast<double>(miss);
    const auto high = static_cast<double>(*search.smallest);
    const int64_t middle = std::llround(std::sqrt(low * high));
    if (high / low <= range.precision || middle <= miss || middle >= *search.smallest) break;
    if (reaches(middle)) {
      search.smallest = middle;
    } else {
      miss = middle;
    }
  }
  std::ranges::sort(search.tried, {}, &TriedDimension::dimension);
  return search;
}

}  // namespace lowrank
