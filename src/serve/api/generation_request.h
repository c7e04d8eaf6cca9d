#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "infer/logit_adjustments.h"
#include "infer/sampler.h"
#include "serve/api/parameters.h"
#include "tokenizer/chat/conversation.h"

namespace lowrank::serve {

/// What requests may ask for, and what holds where they say nothing.
struct RequestLimits {
  int64_t vocabulary = 0;         ///< token ids are below it
  int64_t most_choices = 16;      ///< `n`, and prompts in one request
  int64_t most_tokens = 1 << 20;  ///< `max_tokens`, where a request gives none: the rest of the context
  SamplingOptions sampling = {};  ///< defaults
};

/// An adapter that a request chooses by its number in GET /lora-adapters, with a factor on its own scale.
struct ChosenAdapter {
  int64_t id = 0;
  double scale = 1;
};

/// What both kinds of generation take. One prompt per element of `ids` or `texts` (completions), or one
/// conversation.
struct GenerationRequest {
  std::string model;                  ///< the base's name or an adapter's
  bool has_lora = false;              ///< `lora` was given, and `lora` alone chooses the adapter
  std::optional<ChosenAdapter> lora;  ///< the entry whose scale is not 0; nothing: the base
  int64_t n = 1;
  std::optional<int64_t> max_tokens;
  SamplingOptions sampling;
  LogitAdjustments adjustments;
  bool has_seed = false;
  std::vector<std::string> stop;
  std::vector<int64_t> stop_tokens;
  bool ignore_eos = false;
  int64_t top_logprobs = -1;  ///< as EngineRequest::top_logprobs
  bool stream = false, include_usage = false;
  bool share_prefix = true;

  Conversation conversation;              ///< of a chat
  std::vector<std::string> texts;         ///< of completions
  std::vector<std::vector<int64_t>> ids;  ///< of completions, already encoded
  bool echo = false;                      ///< the prompt stands in front of the answer
};

/// The body of POST /v1/chat/completions. Errors: Refusal.
GenerationRequest chat_request(std::string_view body, const RequestLimits& limits);

/// The body of POST /v1/completions. Errors: Refusal.
GenerationRequest completion_request(std::string_view body, const RequestLimits& limits);

/// The conversation of a body: `messages`, `tools`, `documents`, `chat_template_kwargs`. Errors: Refusal.
Conversation conversation_of(const Parameters& given);

}  // namespace lowrank::serve
