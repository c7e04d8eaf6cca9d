#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "infer/logit_adjustments.h"
#include "infer/sampler.h"

namespace lowrank {

/// What is asked of the engine.
struct EngineRequest {
  std::vector<int64_t> prompt;           ///< token ids, not empty
  std::string adapter = {};              ///< a name in the AdapterStore; empty: the base
  double adapter_scale = 1;              ///< factor on the adapter's own scale
  SamplingOptions sampling = {};         ///< with its own seed
  LogitAdjustments adjustments = {};     ///< before `sampling`
  int64_t max_new_tokens = 128;          ///< at least 1
  std::vector<std::string> stop = {};    ///< texts that end it and are left out
  std::vector<int64_t> end_tokens = {};  ///< beside the tokenizer's own
  bool ignore_eos = false;               ///< end tokens are treated like any other
  int64_t top_logprobs = -1;             ///< -1: no log-probabilities; 0: those of the chosen tokens; n: also
                                         ///< those of the n likeliest
  bool share_prefix = true;              ///< may use and leave cached keys; false: nothing of it is kept
};

/// A token and the natural logarithm of its probability: log-softmax of the model's logits, before
/// adjustments, penalty, temperature and cuts.
struct TokenLogProbability {
  int64_t token = 0;
  double log_probability = 0;
};

/// A generated token.
struct ChosenToken {
  int64_t token = 0;
  double log_probability = 0;                 ///< 0 unless it was asked for
  std::vector<TokenLogProbability> top = {};  ///< the likeliest tokens, the likeliest first
};

/// Why a request ended: by an end token or a stop text; by `max_new_tokens` or the model's context; on
/// demand; by an error.
enum class FinishReason { stop, length, cancelled, failed };

/// `stop`, `length`, `cancelled`, `failed`.
std::string_view name_of(FinishReason reason);

/// News of a request.
struct EngineEvent {
  uint64_t request = 0;
  std::string text = {};                    ///< new text: whole characters, never a part of a stop text
  std::vector<ChosenToken> tokens = {};     ///< new tokens, without the end token
  std::optional<FinishReason> finish = {};  ///< set in the last event of a request
  std::string error = {};                   ///< with `failed`: a sentence
  int64_t prompt_tokens = 0;                ///< in all, without virtual ones
  int64_t cached_tokens = 0;                ///< of the prompt, whose keys were taken from the cache
  int64_t generated_tokens = 0;             ///< so far, without the end token
};

}  // namespace lowrank
