#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace lowrank {

/// The label of a token that is not a target.
inline constexpr int64_t no_target = -100;

/// The adapter of a sequence that runs on the base model alone.
inline constexpr int64_t no_adapter = -1;

/// A tokenised row. labels[i] is the token itself if it is a target, else `no_target`; the shift by one
/// position happens when batches are made, as in transformers.
struct Example {
  std::vector<int64_t> tokens, labels;
  int64_t line = 0;
  std::optional<double> label = {};   ///< of the whole example, instead of `labels`
  int64_t length = 0;                 ///< number of tokens before it was cut; 0: it was not cut
  int64_t adapter = no_adapter;       ///< as in Batch::adapters
  std::vector<int64_t> classes = {};  ///< of a text that may have several: their numbers; `label` counts them
  int64_t type_one_tokens = 0;        ///< tokens at the end with token type 1 (a second text's)

  int64_t targets() const;  ///< targets after the first token, which nothing predicts; 1 with a `label`
};

}  // namespace lowrank
