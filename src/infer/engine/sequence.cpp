#include "infer/engine/sequence.h"

#include <algorithm>

#include "base/error.h"
#include "base/finite.h"
#include "infer/engine/log_probabilities.h"

namespace lowrank {

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::cancelled:
      return "cancelled";
    case FinishReason::failed:
      break;
  }
  return "failed";
}

int64_t EngineSequence::most_tokens() const {
  const ContinuationEnd& end = text.end();
  // The last token of all is not seen.
  return std::min(end.room, text.prompt() + end.max_new_tokens) - 1;
}

EngineEvent event_of(const EngineSequence& sequence) {
  EngineEvent event{sequence.number};
  event.prompt_tokens = sequence.text.prompt();
  event.cached_tokens = sequence.cached_prompt;
  event.generated_tokens = sequence.text.generated();
  return event;
}

EngineEvent last_event(EngineSequence& sequence, FinishReason reason, std::string error) {
  EngineEvent event = event_of(sequence);
  if (reason != FinishReason::failed) event.text = sequence.text.finish();
  event.finish = reason;
  event.error = std::move(error);
  return event;
}

EngineEvent take_logits(EngineSequence& sequence, std::span<float> logits) {
  Continuation& text = sequence.text;
  if (const auto bad = first_not_finite(logits))
    return last_event(
        sequence, FinishReason::failed,
        fmt::format("after {} tokens the model's logit of token {} is {}", text.size(), *bad, logits[*bad]));
  const int64_t top = sequence.request.top_logprobs;
  std::vector<float> before;
  if (top >= 0) before.assign(logits.begin(), logits.end());
  const int64_t generated = text.generated();
  if (const LogitAdjustments& adjustments = sequence.request.adjustments; adjustments.any())
    adjust(logits, text.generated_tokens(), adjustments);
  std::string piece;
  try {
    piece = text.take(logits);
  } catch (const Error& error) {
    return last_event(sequence, FinishReason::failed, error.what());
  }
  EngineEvent event = event_of(sequence);
  event.text = std::move(piece);
  if (text.generated() > generated) {
    const int64_t token = text.tokens().back();
    event.tokens.push_back(top >= 0 ? log_probabilities(before, token, top) : ChosenToken{token});
  }
  if (!text.done()) return event;
  event.text += text.finish();
  event.finish = text.ended() ? FinishReason::stop : FinishReason::length;
  return event;
}

}  // namespace lowrank
