#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "infer/engine/adapter_store.h"
#include "infer/engine/sequence.h"
#include "infer/engine/sequence_pages.h"
#include "model/spec.h"

namespace lowrank {

/// What a step computes of a sequence: its next `tokens` tokens.
struct SequenceWork {
  EngineSequence* sequence = nullptr;
  int64_t tokens = 0;

  /// True if the logits after the last of them are needed.
  bool samples() const { return tokens == sequence->pending(); }
};

/// Decides who runs and what each step computes. Requests begin in the order in which they came, as soon as
/// there are pages for all of their tokens and one for each request that runs. When pages run out, the
/// youngest gives back its own, waits before all younger ones and is computed again, often from pages that
/// were kept; so the oldest always ends, and no request holds memory that it may never need.
class Scheduler {
 public:
  using Sequences = std::map<uint64_t, std::unique_ptr<EngineSequence>>;  ///< by number: the oldest first

  Scheduler(const ModelSpec& spec, AdapterStore& adapters, SequencePages& pages, int64_t max_sequences,
            int64_t max_batch_tokens);

  void submit(std::unique_ptr<EngineSequence> sequence);
  /// The sequence with this number; nullptr if it neither runs nor waits.
  EngineSequence* find(uint64_t number);

  /// Lets waiting requests begin. Those whose adapter cannot be loaded end: their last events are appended.
  /// At most `most_loads` adapters are loaded while other requests run.
  void admit(std::vector<EngineEvent>& events);
  /// What the next step computes, the oldest first: a token of each sequence that generates, and at most
  /// `max_batch_tokens` tokens of prompts.
  std::vector<SequenceWork> plan();
  /// Ends a sequence that runs or waits.
  void end(uint64_t number);

  const Sequences& running() const { return running_; }
  const Sequences& waiting() const { return waiting_; }
  int64_t preemptions() const { return preemptions_; }

  static constexpr int64_t most_loads = 2;

 private:
  bool begin(EngineSequence& sequence);
  bool place(EngineSequence& sequence);
  bool has_pages(EngineSequence& sequence, int64_t tokens);
  void preempt(EngineSequence& sequence);
  void leave(EngineSequence& sequence);
  int64_t prompt_tokens(EngineSequence& sequence, int64_t budget, std::vector<PageKey>& being_computed);
  void restart_outgrown(EngineSequence& sequence);

  const ModelSpec& spec_;
  AdapterStore& adapters_;
  SequencePages& pages_;
  int64_t max_sequences_, max_batch_tokens_;
  Sequences waiting_, running_;
  int64_t preemptions_ = 0;
};

}  // namespace lowrank
