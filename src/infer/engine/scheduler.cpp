#include "infer/engine/scheduler.h"

#include <algorithm>

#include "base/error.h"

namespace lowrank {

Scheduler::Scheduler(const ModelSpec& spec, AdapterStore& adapters, SequencePages& pages,
                     int64_t max_sequences, int64_t max_batch_tokens)
    : spec_(spec),
      adapters_(adapters),
      pages_(pages),
      max_sequences_(max_sequences),
      max_batch_tokens_(max_batch_tokens) {}

void Scheduler::submit(std::unique_ptr<EngineSequence> sequence) {
  const uint64_t number = sequence->number;
  waiting_.emplace(number, std::move(sequence));
}

EngineSequence* Scheduler::find(uint64_t number) {
  for (Sequences* all : {&running_, &waiting_}) {
    if (const auto found = all->find(number); found != all->end()) return found->second.get();
  }
  return nullptr;
}

void Scheduler::admit(std::vector<EngineEvent>& events) {
  const int64_t most = adapters_.loads() + most_loads;
  while (!waiting_.empty() && std::ssize(running_) < max_sequences_) {
    EngineSequence& next = *waiting_.begin()->second;
    const double factor = next.request.adapter_scale;
    if (next.known) {
      if (!adapters_.has_room(*next.known, factor)) return;
      const bool loads = !adapters_.is_resident(*next.known, factor);
      if (loads && adapters_.loads() >= most && !running_.empty()) return;
    }
    try {
      if (!begin(next)) return;
    } catch (const std::exception& error) {
      events.push_back(last_event(next, FinishReason::failed, error.what()));
      waiting_.erase(waiting_.begin());
      continue;
    }
    auto entry = waiting_.extract(waiting_.begin());
    running_.insert(std::move(entry));
  }
}

/// Works out what the sequence is on its adapter, and gives it pages; false if there are too few.
bool Scheduler::place(EngineSequence& sequence) {
  const Hooks plain;
  const Hooks& hooks = sequence.known ? static_cast<const Hooks&>(adapters_.bank()) : plain;
  sequence.front = front_of(hooks, sequence.text.size(), sequence.resident.number);
  const bool in_front = sequence.front.positions > 0 || sequence.front.rows > 0;
  sequence.whole_prompt = in_front || !sequence.resident.can_cache;
  sequence.shares = sequence.request.share_prefix && sequence.resident.shares_prefix && !in_front &&
                    !spec_.recurrent && sequence.most_tokens() <= spec_.fixed_positions;
  return !sequence.resident.can_cache || pages_.begin(sequence, std::ssize(running_));
}

/// False, and nothing is held, if there are too few pages.
bool Scheduler::begin(EngineSequence& sequence) {
  const bool adapted = sequence.known != nullptr;
  sequence.resident =
      adapted ? adapters_.acquire(*sequence.known, sequence.request.adapter_scale) : ResidentAdapter{};
  bool placed = false;
  try {
    placed = place(sequence);
  } catch (...) {
    if (adapted) adapters_.release(sequence.resident);
    throw;
  }
  if (!placed) {
    if (adapted) adapters_.release(sequence.resident);
    return false;
  }
  if (!std::exchange(sequence.started, true)) sequence.cached_prompt = sequence.cached;
  return true;
}

void Scheduler::leave(EngineSequence& sequence) {
  pages_.end(sequence);
  if (sequence.known) adapters_.release(sequence.resident);
}

void Scheduler::preempt(EngineSequence& sequence) {
  leave(sequence);
  ++preemptions_;
  waiting_.insert(running_.extract(sequence.number));
}

void Scheduler::end(uint64_t number) {
  if (const auto found = running_.find(number); found != running_.end()) {
    leave(*found->second);
    running_.erase(found);
  }
  waiting_.erase(number);
}

/// Takes pages for that many of its tokens from the youngest if need be; false if that is itself.
bool Scheduler::has_pages(EngineSequence& sequence, int64_t tokens) {
  while (!pages_.grow(sequence, tokens)) {
    const auto youngest = std::find_if(running_.rbegin(), running_.rend(),
                                       [](const auto& one) { return one.second->slot >= 0; });
    EngineSequence& victim = *youngest->second;
    preempt(victim);
    if (&victim == &sequence) return false;
  }
  return true;
}

/// A text that outgrows the positions for which its cached keys' rotary frequencies are valid is recomputed.
void Scheduler::restart_outgrown(EngineSequence& sequence) {
  if (!spec_.restarts_cache || sequence.slot < 0) return;
  const int64_t most = spec_.fixed_positions - sequence.front.positions;
  if (sequence.text.size() > most && sequence.cached <= most && sequence.cached > 0) pages_.restart(sequence);
}

/// How many tokens of a prompt (or of a text that was preempted) are computed next. A page that an older
/// sequence is computing in this step is waited for.
int64_t Scheduler::prompt_tokens(EngineSequence& sequence, int64_t budget,
                                 std::vector<PageKey>& being_computed) {
  const bool whole =
      sequence.whole_prompt || sequence.text.size() + sequence.front.positions > spec_.fixed_positions;
  if (whole) return sequence.pending() <= budget || budget == max_batch_tokens_ ? sequence.pending() : 0;
  const int64_t known = sequence.cached;
  pages_.adopt(sequence);
  const int64_t still_prompt = std::min(sequence.cached, sequence.text.prompt());
  sequence.cached_prompt += std::max<int64_t>(0, still_prompt - known);
  if (budget <= 0) return sequence.pending() == 1 ? 1 : 0;
  if (auto next = pages_.next_content(sequence)) {
    if (std::ranges::find(being_computed, *next) != being_computed.end()) return 0;
    being_computed.push_back(std::move(*next));
  }
  return std::min(sequence.pending(), budget);
}

std::vector<SequenceWork> Scheduler::plan() {
  std::vector<SequenceWork> works;
  std::vector<PageKey> being_computed;
  int64_t budget = max_batch_tokens_;
  std::vector<uint64_t> numbers;
  for (const auto& [number, sequence] : running_) numbers.push_back(number);
  for (const uint64_t number : numbers) {
    const auto found = running_.find(number);
    if (found == running_.end()) continue;  // preempted for an older one
    EngineSequence& sequence = *found->second;
    restart_outgrown(sequence);
    // One that has no cache is computed whole for each token; only its prompt counts.
    const bool generates = sequence.slot < 0 ? sequence.text.generated() > 0 : sequence.pending() == 1;
    int64_t tokens = sequence.pending();
    if (!generates) budget -= tokens = prompt_tokens(sequence, budget, being_computed);
    if (tokens == 0) continue;
    if (sequence.slot >= 0 && !has_pages(sequence, sequence.cached + tokens)) continue;
    works.push_back({&sequence, tokens});
  }
  return works;
}

}  // namespace lowrank
