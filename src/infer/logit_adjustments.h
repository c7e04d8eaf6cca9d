#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace lowrank {

/// What is added to the logits before a token is chosen, as OpenAI's API defines it (API reference of chat
/// completions): a token's own bias, less frequency_penalty for each time that it has been generated, less
/// presence_penalty if it has been at all. The prompt's tokens do not count.
struct LogitAdjustments {
  double presence_penalty = 0, frequency_penalty = 0;
  std::vector<std::pair<int64_t, double>> bias = {};  ///< token and what is added to its logit

  bool any() const { return presence_penalty != 0 || frequency_penalty != 0 || !bias.empty(); }
};

/// Adjusts `logits` [vocabulary]; tokens outside it are passed over. `generated`: the tokens so far, without
/// the prompt's.
void adjust(std::span<float> logits, std::span<const int64_t> generated, const LogitAdjustments& adjustments);

}  // namespace lowrank
