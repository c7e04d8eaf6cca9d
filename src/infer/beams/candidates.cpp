#include "infer/beams/candidates.h"

#include <algorithm>
#include <array>
#include <limits>

namespace lowrank {
namespace {

constexpr size_t lanes = 16, block = 16 * lanes;

/// The largest of `block` values, lane by lane, which vectorises.
float largest(const float* values) {
  std::array<float, lanes> most;
  std::copy_n(values, lanes, most.begin());
  for (size_t at = lanes; at < block; at += lanes) {
    for (size_t lane = 0; lane < lanes; ++lane)
      most[lane] = values[at + lane] > most[lane] ? values[at + lane] : most[lane];
  }
  return *std::ranges::max_element(most);
}

bool better(const BeamCandidate& a, const BeamCandidate& b) {
  if (a.score != b.score) return a.score > b.score;
  return a.beam != b.beam ? a.beam < b.beam : a.token < b.token;
}

/// The best candidates so far, as a heap with the worst of them in front. Candidates come in the order that
/// decides ties, so that only a higher score displaces another.
class Best {
 public:
  explicit Best(int64_t count) : count_(static_cast<size_t>(count)) {}

  /// The score above which a candidate is wanted.
  float bar() const { return bar_; }

  void add(const BeamCandidate& candidate) {
    if (heap_.size() == count_) {
      std::ranges::pop_heap(heap_, better);
      heap_.pop_back();
    }
    heap_.push_back(candidate);
    std::ranges::push_heap(heap_, better);
    if (heap_.size() == count_) bar_ = heap_.front().score;
  }

  std::vector<BeamCandidate> sorted() && {
    std::ranges::sort(heap_, better);
    return std::move(heap_);
  }

 private:
  size_t count_;
  float bar_ = -std::numeric_limits<float>::infinity();
  std::vector<BeamCandidate> heap_;
};

}  // namespace

std::vector<BeamCandidate> best_candidates(std::span<const BeamRow> rows, int64_t count) {
  Best best(count);
  if (count <= 0) return {};
  for (int64_t beam = 0; beam < std::ssize(rows); ++beam) {
    const auto& [values, score] = rows[beam];
    for (size_t begin = 0; begin < values.size(); begin += block) {
      const size_t end = std::min(values.size(), begin + block);
      if (end - begin == block && !(largest(&values[begin]) + score > best.bar())) continue;
      for (size_t token = begin; token < end; ++token) {
        const float sum = values[token] + score;
        if (sum > best.bar()) best.add({beam, static_cast<int64_t>(token), sum});
      }
    }
  }
  return std::move(best).sorted();
}

}  // namespace lowrank
