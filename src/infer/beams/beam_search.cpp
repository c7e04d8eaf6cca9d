#include "infer/beams/beam_search.h"

#include <algorithm>
#include <cmath>

namespace lowrank {

BeamSearch::BeamSearch(const BeamOptions& options, std::vector<int64_t> prompt, int64_t most_tokens)
    : options_(options), prompt_(std::ssize(prompt)), most_tokens_(most_tokens) {
  beams_.push_back({std::move(prompt), 0});
}

/// length^length_penalty, rounded once, as a tensor is divided by a Python number.
float BeamSearch::divisor(int64_t length) const {
  return static_cast<float>(std::pow(static_cast<double>(length), options_.length_penalty));
}

void BeamSearch::finish(const BeamCandidate& candidate) {
  const std::vector<int64_t>& before = beams_[candidate.beam].tokens;
  FinishedText text{
      {before.begin() + prompt_, before.end()}, candidate.score / divisor(generated_), candidate.ends};
  text.tokens.push_back(candidate.token);
  const auto place =
      std::ranges::find_if(finished_, [&](const FinishedText& other) { return other.score < text.score; });
  finished_.insert(place, std::move(text));
  if (std::ssize(finished_) > options_.num_beams) finished_.pop_back();
}

bool BeamSearch::can_improve() const {
  if (std::ssize(finished_) < options_.num_beams) return true;
  if (options_.early_stopping == "true") return false;
  const bool longest = options_.early_stopping == "never" && options_.length_penalty > 0;
  return beams_.front().score / divisor(longest ? most_tokens_ : generated_) > finished_.back().score;
}

std::vector<int64_t> BeamSearch::advance(std::span<const BeamCandidate> candidates) {
  ++generated_;
  const bool last = generated_ == most_tokens_;
  std::vector<Beam> next;
  std::vector<int64_t> parents;
  for (int64_t rank = 0; rank < std::ssize(candidates); ++rank) {
    const BeamCandidate& candidate = candidates[rank];
    if (candidate.ends || last) {
      if (rank < options_.num_beams) finish(candidate);
    } else if (std::ssize(next) < options_.num_beams) {
      next.push_back({beams_[candidate.beam].tokens, candidate.score});
      next.back().tokens.push_back(candidate.token);
      parents.push_back(candidate.beam);
    }
  }
  beams_ = std::move(next);
  done_ = beams_.empty() || !can_improve();
  return parents;
}

}  // namespace lowrank
