#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/fields.h"
#include "infer/engine/adapter_store.h"
#include "infer/engine/request.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

struct EngineOptions {
  int64_t cache_mb = 1024;         ///< memory of cached keys and values; taken from the system as it is used
  int64_t max_batch_tokens = 256;  ///< most new prompt tokens in a step
  int64_t max_sequences = 64;      ///< most requests that run at a time
  int64_t page_rows = 32;          ///< tokens in a page of the cache
  int64_t cache_pages = 0;         ///< how many there are; 0: as many as `cache_mb` holds

  /// Those that users set: all but `cache_pages`.
  std::vector<Field> fields();
};

/// The engine's state at the moment, and totals since it was made.
struct EngineStatistics {
  int64_t running = 0, waiting = 0;  ///< requests
  int64_t pages = 0;                 ///< of the cache, in all; each is used, cached or free:
  int64_t used_pages = 0;            ///< by running requests
  int64_t cached_pages = 0;          ///< in no use, kept for requests that begin with the same tokens
  int64_t free_pages = 0;
  int64_t page_bytes = 0;
  int64_t prompt_tokens = 0;  ///< of requests of which a token was generated
  int64_t cached_tokens = 0;  ///< of those, whose keys were taken from the cache
  int64_t generated_tokens = 0;
  int64_t finished = 0, preemptions = 0;
  int64_t resident_adapters = 0, adapter_loads = 0, adapter_evictions = 0;
  int64_t steps = 0;
  double seconds = 0;  ///< in steps
};

/// Generates text for many requests at a time (continuous batching, Yu et al. 2022; keys and values in pages,
/// Kwon et al. 2023, arXiv 2309.06180). Each step is one pass of the model: one token for each request that
/// generates, and up to `max_batch_tokens` tokens of prompts, so that a long prompt does not hold up the
/// others. Full pages of requests that begin alike are computed once and shared. When pages run out, the
/// youngest request gives up its own and is computed again later; a request's random choices depend on its
/// seed alone. One thread calls all functions.
class Engine {
 public:
  /// All but the options must outlive the engine. Errors: invalid when the cache cannot hold a single page;
  /// unsupported for an encoder.
  Engine(const Model& model, const Tokenizer& tokenizer, AdapterStore& adapters,
         const EngineOptions& options);
  ~Engine();

  /// Takes a request into the queue; returns its number, from 1 on. Errors: invalid for an empty prompt,
  /// token ids outside the vocabulary, a prompt that leaves no room in the context, and a request that could
  /// never fit the cache; not_found for an unknown adapter, with the nearest name; those of the adapter if it
  /// is known to be unusable; unsupported for a scale that its method does not have.
  uint64_t submit(EngineRequest request);

  /// Ends a request; its last event (`cancelled`) comes in the next step. Unknown numbers and those of
  /// finished requests have no effect.
  void cancel(uint64_t request);

  /// True if no request runs or waits and no event is due.
  bool idle() const;

  /// One pass of the model for all running requests, after which `sink` gets its news; it may call `submit`
  /// and `cancel`. What is wrong with one request ends that request alone.
  void step(const std::function<void(EngineEvent)>& sink);

  EngineStatistics statistics() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lowrank
