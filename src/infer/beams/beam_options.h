#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fields.h"

namespace lowrank {

/// How beam search looks for the likeliest text, with the same meanings as in transformers.
struct BeamOptions {
  int64_t num_beams = 1;      ///< texts kept at each step; 1: no beam search
  double length_penalty = 1;  ///< p: a text's score is its sum of log-probabilities / (its tokens)^p
  std::string early_stopping = "false";  ///< when to stop: "false", "true", "never" (`BeamSearch::done`)
  int64_t num_return_sequences = 1;      ///< texts per prompt

  /// True if there is a search.
  bool any() const { return num_beams > 1; }
  std::vector<Field> fields();
  /// Why these options make no sense together; empty if they do.
  std::string contradiction() const;
};

}  // namespace lowrank
