#include "train/ranks/step_share.h"

#include <numeric>

namespace lowrank {

std::vector<int64_t> batches_of_rank(int64_t count, int64_t rank, int64_t size) {
  std::vector<int64_t> taken;
  for (int64_t batch = rank; batch < count; batch += size) taken.push_back(batch);
  return taken;
}

RowRange rows_of_rank(std::span<const int64_t> lengths, int64_t rank, int64_t size) {
  const int64_t rows = std::ssize(lengths);
  // A row belongs to the rank in whose share of all tokens its middle lies.
  const int64_t all = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  RowRange range{rows, rows};
  int64_t before = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t owner = all == 0 ? 0 : (2 * before + lengths[row]) * size / (2 * all);
    before += lengths[row];
    if (owner < rank) continue;
    if (owner > rank) {
      range.end = row;
      if (range.begin > row) range.begin = row;
      break;
    }
    if (range.begin == rows) range.begin = row;
  }
  return range;
}

}  // namespace lowrank
