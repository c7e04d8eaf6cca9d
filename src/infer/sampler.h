#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/fields.h"
#include "base/rng.h"

namespace lowrank {

/// How the next token is chosen, with the same meanings and order as in transformers: repetition penalty,
/// repeated n-grams, temperature, top-k, top-p, min-p.
struct SamplingOptions {
  double temperature = 0;  ///< 0: the most likely token
  int64_t top_k = 0;       ///< keep the k most likely; 0: all
  double top_p = 1;        ///< keep the smallest set of most likely tokens whose probabilities reach p
  double min_p = 0;        ///< keep tokens with at least min_p times the highest probability
  double repetition_penalty =
      1;  ///< positive logits of tokens seen so far are divided by it, negative ones multiplied
  int64_t no_repeat_ngram_size = 0;  ///< n > 0: no n tokens occur in the same order twice, prompt included
  int64_t seed = 0;

  std::vector<Field> fields();
};

/// Applies the options against repetition to logits or log-probabilities [vocabulary] of the token after
/// `seen`.
void adjust_repetition(std::span<float> scores, std::span<const int64_t> seen,
                       const SamplingOptions& options);

/// The next token from `logits` [vocabulary], which are modified. `seen`: prompt and generated tokens so far.
/// Ties go to the lower id; a logit of -inf excludes the token. Errors: invalid when a logit is NaN or +inf,
/// or all are -inf.
int64_t sample(std::span<float> logits, std::span<const int64_t> seen, const SamplingOptions& options,
               Philox& random);

}  // namespace lowrank
