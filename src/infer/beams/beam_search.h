#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "infer/beams/beam_options.h"
#include "infer/beams/candidates.h"

namespace lowrank {

/// A text that goes on.
struct Beam {
  std::vector<int64_t> tokens;  ///< prompt and generated ones
  float score = 0;              ///< sum of the generated tokens' log-probabilities
};

/// A text that is finished.
struct FinishedText {
  std::vector<int64_t> tokens;  ///< generated, with the one that ended it
  float score = 0;              ///< sum of log-probabilities / (number of tokens)^length_penalty
  bool ended = false;           ///< by its last token rather than by length
};

/// Beam search for the continuation of one prompt, step by step as transformers 5.23 does it
/// (GenerationMixin._beam_search), in the same f32 arithmetic; it knows no model.
class BeamSearch {
 public:
  /// Starts with one beam, the prompt. `most_tokens` (> 0): of a continuation.
  BeamSearch(const BeamOptions& options, std::vector<int64_t> prompt, int64_t most_tokens);

  /// The texts to be continued, best first; empty only after the last step.
  const std::vector<Beam>& beams() const { return beams_; }
  int64_t prompt() const { return prompt_; }  ///< tokens
  /// Tokens of each beam.
  int64_t size() const { return prompt_ + generated_; }

  /// One more token. `candidates`: the likeliest continuations, best first, at least (1 + number of end
  /// tokens) * num_beams unless there are no more. Of the first num_beams, those that end are finished
  /// texts; the best num_beams that do not end are the next beams. Returns the index of the beam that each
  /// of these continues.
  std::vector<int64_t> advance(std::span<const BeamCandidate> candidates);

  /// True when the search is over: the texts are as long as they may be, or num_beams are finished and
  /// `early_stopping` is true, or the best beam, with the length that it has now ("never" and a positive
  /// penalty: with most_tokens), would not score above the worst of the finished texts that are kept.
  bool done() const { return done_; }
  /// The best finished texts, at most num_beams, best first; of equal ones the earlier first.
  const std::vector<FinishedText>& finished() const { return finished_; }

 private:
  void finish(const BeamCandidate& candidate);
  float divisor(int64_t length) const;
  bool can_improve() const;

  BeamOptions options_;
  int64_t prompt_, most_tokens_, generated_ = 0;
  std::vector<Beam> beams_;
  std::vector<FinishedText> finished_;
  bool done_ = false;
};

}  // namespace lowrank
