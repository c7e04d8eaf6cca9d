#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "infer/continuation.h"
#include "infer/engine/adapter_store.h"
#include "infer/engine/request.h"

namespace lowrank {

/// A request in the engine.
struct EngineSequence {
  uint64_t number = 0;
  EngineRequest request;  ///< without its prompt and its ends, which `text` has
  Continuation text;
  std::shared_ptr<KnownAdapter> known = nullptr;  ///< nullptr: the base
  bool cancelled = false;

  // While it runs.
  ResidentAdapter resident = {};
  Front front = {};
  bool whole_prompt = false;  ///< its prompt is computed in one pass
  bool shares = false;        ///< its full pages are shared with others
  int64_t cached = 0;         ///< tokens whose keys and values the model need not compute
  int64_t slot = -1;          ///< of the KvCache; -1: it has no cache
  std::vector<int64_t> pages = {};
  int64_t stated = 0;    ///< of its pages, the first ones, whose content the pool knows
  uint64_t content = 0;  ///< the content's number of the last of them

  // For its events.
  bool started = false;
  int64_t cached_prompt = 0;  ///< tokens of the prompt that were taken from the cache

  /// Tokens that the model has not seen.
  int64_t pending() const { return text.size() - cached; }
  /// Most tokens of prompt and continuation that the model will see.
  int64_t most_tokens() const;
};

/// An event with the counts of a sequence.
EngineEvent event_of(const EngineSequence& sequence);

/// Chooses the next token from the logits after the last one, which are modified, and says what is new. What
/// is wrong with the logits fails the sequence.
EngineEvent take_logits(EngineSequence& sequence, std::span<float> logits);

/// The last event of a sequence; `error`: with `failed`.
EngineEvent last_event(EngineSequence& sequence, FinishReason reason, std::string error = {});

}  // namespace lowrank
