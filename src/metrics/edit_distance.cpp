#include "metrics/edit_distance.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace lowrank::metrics {
namespace {

constexpr int64_t band_width = 25;
constexpr int64_t unreachable = 10'000'000'000'000'000;

}  // namespace

EditDistance::EditDistance(std::span<const uint32_t> reference, size_t prediction_size)
    : reference_(reference),
      ratio_(prediction_size == 0
                 ? 1.0
                 : static_cast<double>(reference.size()) / static_cast<double>(prediction_size)),
      band_(band_width),
      rows_(prediction_size + 1, Row(reference.size() + 1)) {
  // Where lengths differ so much that the bands of two rows would not meet, the band is wider.
  if (static_cast<double>(band_width) < ratio_ / 2) {
    band_ = static_cast<int64_t>(std::ceil(ratio_ / 2 + static_cast<double>(band_width)));
  }
  for (size_t j = 0; j <= reference.size(); ++j) rows_[0][j] = {static_cast<int64_t>(j), Edit::insert};
}

void EditDistance::fill(std::span<const uint32_t> prediction, size_t row, const Row& before,
                        Row& cells) const {
  const auto width = static_cast<int64_t>(reference_.size()) + 1;
  const auto middle = static_cast<int64_t>(std::floor(static_cast<double>(row) * ratio_));
  const int64_t begin = std::max<int64_t>(0, middle - band_);
  const int64_t end = row == prediction.size() ? width : std::min(width, middle + band_);
  cells.assign(static_cast<size_t>(width), {unreachable, Edit::none});
  for (int64_t at = begin; at < end; ++at) {
    const auto j = static_cast<size_t>(at);
    if (j == 0) {
      cells[0] = {before[0].cost + 1, Edit::erase};
      continue;
    }
    const bool same = prediction[row - 1] == reference_[j - 1];
    Cell best = cells[j];
    const auto offer = [&best](int64_t cost, Edit edit) {
      if (cost < best.cost) best = {cost, edit};
    };
    offer(before[j - 1].cost + (same ? 0 : 1), same ? Edit::match : Edit::substitute);
    offer(before[j].cost + 1, Edit::erase);
    offer(cells[j - 1].cost + 1, Edit::insert);
    cells[j] = best;
  }
}

int64_t EditDistance::start_from(std::span<const uint32_t> prediction) {
  start_.assign(prediction.begin(), prediction.end());
  for (size_t i = 1; i < rows_.size(); ++i) fill(prediction, i, rows_[i - 1], rows_[i]);
  return rows_.back().back().cost;
}

std::vector<Edit> EditDistance::steps() const {
  std::vector<Edit> steps;
  size_t i = start_.size(), j = reference_.size();
  while (i > 0 || j > 0) {
    const Edit edit = rows_[i][j].edit;
    check(edit != Edit::none, ErrorKind::unsupported,
          "a text of {} words is too far from its reference of {}", start_.size(), reference_.size());
    steps.push_back(edit);
    if (edit != Edit::insert) --i;
    if (edit != Edit::erase) --j;
  }
  std::reverse(steps.begin(), steps.end());
  return steps;
}

int64_t EditDistance::distance(std::span<const uint32_t> prediction) {
  const auto different = std::mismatch(prediction.begin(), prediction.end(), start_.begin()).first;
  const auto same = static_cast<size_t>(different - prediction.begin());
  above_ = rows_[same];
  for (size_t i = same + 1; i <= prediction.size(); ++i) {
    fill(prediction, i, above_, below_);
    std::swap(above_, below_);
  }
  return above_.back().cost;
}

}  // namespace lowrank::metrics
