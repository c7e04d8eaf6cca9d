#include "metrics/edit_rate.h"

#include <algorithm>
#include <optional>
#include <tuple>

#include "metrics/edit_distance.h"

namespace lowrank::metrics {
namespace {

using Sequence = std::vector<uint32_t>;

constexpr size_t longest_shift = 10, farthest_shift = 50;
constexpr int64_t most_tries = 1000;

/// How the words of a prediction and a reference stand against each other.
struct Alignment {
  std::vector<int64_t> place;  ///< of the reference's words in the prediction, -1 before its first
  std::vector<bool> reference_wrong, prediction_wrong;
};

Alignment aligned(const std::vector<Edit>& steps) {
  Alignment alignment;
  int64_t at = -1;
  for (const Edit step : steps) {
    const bool wrong = step != Edit::match;
    if (step != Edit::insert) {
      ++at;
      alignment.prediction_wrong.push_back(wrong);
    }
    if (step != Edit::erase) {
      alignment.place.push_back(at);
      alignment.reference_wrong.push_back(wrong);
    }
  }
  return alignment;
}

/// `length` words from `start` on that stand before the word `target` in the result.
Sequence shifted(const Sequence& words, size_t start, size_t length, size_t target) {
  Sequence result;
  result.reserve(words.size());
  const auto append = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < std::min(end, words.size()); ++i) result.push_back(words[i]);
  };
  if (target < start) {
    append(0, target);
    append(start, start + length);
    append(target, start);
    append(start + length, words.size());
  } else if (target > start + length) {
    append(0, start);
    append(start + length, target);
    append(start, start + length);
    append(target, words.size());
  } else {
    append(0, start);
    append(start + length, length + target);
    append(start, start + length);
    append(length + target, words.size());
  }
  return result;
}

bool any(const std::vector<bool>& wrong, size_t begin, size_t length) {
  const auto first = wrong.begin() + static_cast<std::ptrdiff_t>(begin);
  return std::find(first, first + static_cast<std::ptrdiff_t>(length), true) !=
         first + static_cast<std::ptrdiff_t>(length);
}

class ShiftSearch {
 public:
  ShiftSearch(std::span<const uint32_t> prediction, std::span<const uint32_t> reference)
      : words_(prediction.begin(), prediction.end()),
        reference_(reference),
        distances_(reference, prediction.size()) {}

  int64_t edits() {
    int64_t shifts = 0;
    int64_t distance = distances_.start_from(words_);
    for (; find_best(distance); ++shifts) {
      words_ = shifted(words_, best_->start, best_->length, best_->target);
      distance = distances_.start_from(words_);
    }
    return shifts + distance;
  }

 private:
  struct Shift {
    int64_t saved;
    size_t length, start, target;

    /// In the order in which Tercom prefers shifts, best last.
    auto rank() const {
      return std::tuple(saved, length, -static_cast<int64_t>(start), -static_cast<int64_t>(target));
    }
  };

  /// Whether a shift saves edits and the tries have not run out; it is `best_` then.
  bool find_best(int64_t distance) {
    alignment_ = aligned(distances_.steps());
    best_.reset();
    for (size_t start = 0; start < words_.size() && tries_ < most_tries; ++start) {
      for (size_t other = 0; other < reference_.size() && tries_ < most_tries; ++other) {
        const size_t apart = start > other ? start - other : other - start;
        if (apart <= farthest_shift) try_runs(start, other, distance);
      }
    }
    return tries_ < most_tries && best_ && best_->saved > 0;
  }

  /// Tries the runs that begin at word `start` of the prediction and equal the reference from `other` on.
  void try_runs(size_t start, size_t other, int64_t distance) {
    for (size_t length = 1; length <= longest_shift; ++length) {
      const size_t last = start + length - 1, other_last = other + length - 1;
      if (last >= words_.size() || other_last >= reference_.size() || tries_ >= most_tries) return;
      if (words_[last] != reference_[other_last]) return;
      const int64_t place = alignment_.place[other];
      const bool within =
          place >= static_cast<int64_t>(start) && place < static_cast<int64_t>(start + length);
      if (within || !any(alignment_.prediction_wrong, start, length) ||
          !any(alignment_.reference_wrong, other, length)) {
        continue;
      }
      try_targets(start, other, length, distance);
    }
  }

  void try_targets(size_t start, size_t other, size_t length, int64_t distance) {
    std::optional<size_t> previous;
    for (size_t offset = 0; offset <= length; ++offset) {  // one more than the offset in the reference
      if (other + offset > reference_.size()) return;
      const size_t target =
          other + offset == 0 ? 0 : static_cast<size_t>(alignment_.place[other + offset - 1] + 1);
      if (previous == target) continue;
      previous = target;
      const int64_t saved = distance - distances_.distance(shifted(words_, start, length, target));
      const Shift shift{saved, length, start, target};
      ++tries_;
      if (!best_ || shift.rank() > best_->rank()) best_ = shift;
    }
  }

  Sequence words_;
  std::span<const uint32_t> reference_;
  EditDistance distances_;
  Alignment alignment_;
  std::optional<Shift> best_;
  int64_t tries_ = 0;
};

}  // namespace

int64_t edits(std::span<const uint32_t> prediction, std::span<const uint32_t> reference) {
  if (reference.empty()) return static_cast<int64_t>(prediction.size());
  return ShiftSearch(prediction, reference).edits();
}

}  // namespace lowrank::metrics
