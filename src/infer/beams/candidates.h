#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lowrank {

/// What the model says of a beam's next token.
struct BeamRow {
  std::span<const float> log_probabilities;  ///< [vocabulary]; -inf excludes a token; never NaN
  float score = 0;                           ///< of the beam so far
};

/// A beam, continued by one token.
struct BeamCandidate {
  int64_t beam = 0, token = 0;
  float score = 0;    ///< the beam's plus the token's log-probability
  bool ends = false;  ///< the token ends the text
};

/// The `count` continuations with the highest scores, best first, or as many as are not excluded. Ties go to
/// the earlier beam, then to the lower id.
std::vector<BeamCandidate> best_candidates(std::span<const BeamRow> rows, int64_t count);

}  // namespace lowrank
