#pragma once

#include <cstdint>
#include <span>

#include "model/model.h"
#include "peft/bank/inference_hooks.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

/// Seconds per new token at batch 1, greedy: (t(tokens) - t(1)) / (tokens - 1), where t(n) is the time to
/// generate n tokens after `prompt`, so that the pass over the prompt does not count. tokens > 1.
double seconds_per_token(const Model& model, const InferenceHooks& hooks, const Tokenizer& tokenizer,
                         std::span<const int64_t> prompt, int64_t tokens);

}  // namespace lowrank
