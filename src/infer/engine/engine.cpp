#include "infer/engine/engine.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "base/process.h"
#include "infer/engine/scheduler.h"
#include "infer/engine/sequence.h"
#include "infer/engine/sequence_pages.h"

namespace lowrank {
namespace {

constexpr int64_t megabyte = 1 << 20;

/// Bytes that a token's keys and values take in all layers, from a pass of one.
int64_t row_bytes(const Model& model) {
  const Batch batch{{0}, {0}, {0, 1}, {}, {0}, {}, {}};
  KvCache probe(1, 1);
  model.forward({&batch}, Hooks(), &probe);
  return probe.row_bytes();
}

/// The batch of a pass over these sequences. `examples`: slots of the cache, or without one the works'
/// places.
Batch batch_of(const std::vector<SequenceWork>& works, bool cached) {
  Batch batch;
  batch.offsets.push_back(0);
  bool adapted = false;
  for (const auto& [sequence, count] : works) {
    for (int64_t i = sequence->cached; i < sequence->cached + count; ++i) {
      batch.tokens.push_back(sequence->text.tokens()[i]);
      batch.positions.push_back(i);
    }
    batch.offsets.push_back(batch.token_count());
    batch.examples.push_back(cached ? sequence->slot : batch.sequences() - 1);
    batch.prompt_rows.push_back(sequence->text.prompt());
    batch.adapters.push_back(sequence->resident.number);
    adapted |= sequence->resident.number != no_adapter;
  }
  if (!adapted) batch.adapters.clear();
  return batch;
}

}  // namespace

std::vector<Field> EngineOptions::fields() {
  return {
      limited(field("cache_mb", cache_mb,
                    "memory for keys and values in MB; it is taken from the system as it is used"),
              1, 1 << 24),
      limited(field("max_batch_tokens", max_batch_tokens, "most tokens of prompts in a step"), 1, 1 << 20),
      limited(field("max_sequences", max_sequences, "most requests that run at a time"), 1, 4096),
      limited(field("page_rows", page_rows, "tokens in a page of keys and values"), 1, 4096)};
}

struct Engine::State {
  State(const Model& model, const Tokenizer& tokenizer, AdapterStore& adapters, const EngineOptions& options,
        int64_t bytes_per_page)
      : model(model),
        tokenizer(tokenizer),
        adapters(adapters),
        page_bytes(bytes_per_page),
        pages(options.max_sequences,
              options.cache_pages > 0 ? options.cache_pages : options.cache_mb * megabyte / page_bytes,
              options.page_rows),
        scheduler(model.spec(), adapters, pages, options.max_sequences, options.max_batch_tokens) {}

  void check_request(const EngineRequest& request, int64_t virtual_rows) const;
  void end_cancelled();
  void pass(const std::vector<SequenceWork>& works, KvCache* cache);
  void finish(EngineEvent event);

  const Model& model;
  const Tokenizer& tokenizer;
  AdapterStore& adapters;
  int64_t page_bytes;
  SequencePages pages;
  Scheduler scheduler;
  std::vector<EngineEvent> events;  ///< of the step
  EngineStatistics totals;
  uint64_t last_number = 0;
};

Engine::Engine(const Model& model, const Tokenizer& tokenizer, AdapterStore& adapters,
               const EngineOptions& options) {
  const at::NoGradGuard no_grad;
  model.head();  // an encoder has none
  const int64_t page_bytes = row_bytes(model) * options.page_rows;
  check(options.cache_pages > 0 || options.cache_mb * megabyte >= page_bytes, ErrorKind::invalid,
        "`cache_mb` {}: a page of {} tokens takes {:.1f} MB", options.cache_mb, options.page_rows,
        static_cast<double>(page_bytes) / megabyte);
  state_ = std::make_unique<State>(model, tokenizer, adapters, options, page_bytes);
}

Engine::~Engine() {
  // What still runs gives back its adapters.
  if (!state_) return;
  while (!state_->scheduler.running().empty())
    state_->scheduler.end(state_->scheduler.running().begin()->first);
}

void Engine::State::check_request(const EngineRequest& request, int64_t virtual_rows) const {
  check(!request.prompt.empty(), ErrorKind::invalid, "the prompt has no tokens");
  check(request.max_new_tokens >= 1, ErrorKind::invalid, "`max_new_tokens` is {}, at least 1 is needed",
        request.max_new_tokens);
  const int64_t vocabulary = model.spec().vocabulary_size;
  for (const int64_t id : request.prompt)
    check(id >= 0 && id < vocabulary, ErrorKind::invalid, "the prompt has the token {}, the vocabulary {}",
          id, vocabulary);
  const auto length = std::ssize(request.prompt);
  const int64_t context = model.spec().max_positions;
  const std::string behind = virtual_rows > 0 ? fmt::format(" behind {} virtual ones", virtual_rows) : "";
  check(virtual_rows + length < context, ErrorKind::invalid,
        "the prompt has {} tokens{}, the model's context {}", length, behind, context);
}

uint64_t Engine::submit(EngineRequest request) {
  State& s = *state_;
  std::shared_ptr<KnownAdapter> known;
  if (!request.adapter.empty()) known = s.adapters.find(request.adapter, request.adapter_scale);
  const int64_t virtual_rows = known ? AdapterStore::context_rows(*known) : 0;
  s.check_request(request, virtual_rows);
  ContinuationEnd end{request.max_new_tokens, s.model.spec().max_positions - virtual_rows,
                      std::exchange(request.stop, {}), std::exchange(request.end_tokens, {}),
                      request.ignore_eos};
  Continuation text(s.tokenizer, std::exchange(request.prompt, {}), request.sampling, 0, std::move(end));
  auto sequence = std::make_unique<EngineSequence>(
      EngineSequence{s.last_number + 1, std::move(request), std::move(text), std::move(known)});
  const int64_t rows = sequence->most_tokens() + virtual_rows;
  check(s.pages.pages_for(rows) <= s.pages.pool().size(), ErrorKind::invalid,
        "prompt and continuation can have {} tokens, the cache holds {} (`cache_mb`)", rows,
        s.pages.pool().size() * s.pages.page_rows());
  s.scheduler.submit(std::move(sequence));
  return ++s.last_number;
}

void Engine::cancel(uint64_t request) {
  if (EngineSequence* sequence = state_->scheduler.find(request)) sequence->cancelled = true;
}

bool Engine::idle() const {
  return state_->scheduler.running().empty() && state_->scheduler.waiting().empty();
}

void Engine::State::finish(EngineEvent event) {
  if (event.finish) {
    scheduler.end(event.request);
    ++totals.finished;
  }
  totals.generated_tokens += std::ssize(event.tokens);
  events.push_back(std::move(event));
}

void Engine::State::end_cancelled() {
  std::vector<EngineSequence*> cancelled;
  for (const Scheduler::Sequences* all : {&scheduler.running(), &scheduler.waiting()}) {
    for (const auto& [number, sequence] : *all) {
      if (sequence->cancelled) cancelled.push_back(sequence.get());
    }
  }
  for (EngineSequence* sequence : cancelled) finish(last_event(*sequence, FinishReason::cancelled));
}

void Engine::State::pass(const std::vector<SequenceWork>& works, KvCache* cache) {
  if (works.empty()) return;
  Batch batch = batch_of(works, cache != nullptr);
  const Hooks plain;
  const Hooks& hooks = batch.adapters.empty() ? plain : static_cast<const Hooks&>(adapters.bank());
  std::vector<const SequenceWork*> of_example;
  for (size_t i = 0; i < works.size(); ++i) {
    const auto example = static_cast<size_t>(batch.examples[i]);
    if (of_example.size() <= example) of_example.resize(example + 1);
    of_example[example] = &works[i];
  }
  hooks.layout(batch);
  std::vector<int64_t> rows;
  std::vector<EngineSequence*> sampling;
  for (int64_t i = 0; i < batch.sequences(); ++i) {
    const SequenceWork& work = *of_example[batch.examples[i]];
    if (!work.samples()) continue;
    rows.push_back(batch.offsets[i + 1] - 1);
    sampling.push_back(work.sequence);
  }
  Context context{&batch};
  at::Tensor logits;
  if (rows.empty()) {
    context.read = {batch.token_count() - 1};
    model.forward(context, hooks, cache);
  } else {
    logits = batch_logits(model, context, hooks, rows, cache).cpu().contiguous();
  }
  for (const auto& [sequence, count] : works) {
    if (cache) pages.advance(*sequence, count);
  }
  for (size_t i = 0; i < sampling.size(); ++i) {
    if (sampling[i]->text.generated() == 0) {
      totals.prompt_tokens += sampling[i]->text.prompt();
      totals.cached_tokens += sampling[i]->cached_prompt;
    }
    float* row = logits.mutable_data_ptr<float>() + static_cast<int64_t>(i) * logits.size(1);
    finish(take_logits(*sampling[i], {row, static_cast<size_t>(logits.size(1))}));
  }
}

void Engine::step(const std::function<void(EngineEvent)>& sink) {
  const at::NoGradGuard no_grad;
  State& s = *state_;
  const double began = monotonic_seconds();
  s.end_cancelled();
  std::vector<EngineEvent> failed;
  s.scheduler.admit(failed);
  for (EngineEvent& event : failed) s.finish(std::move(event));
  std::vector<SequenceWork> cached = s.scheduler.plan(), others;
  const auto is_cached = [](const SequenceWork& work) { return work.sequence->slot >= 0; };
  std::ranges::copy_if(cached, std::back_inserter(others), std::not_fn(is_cached));
  std::erase_if(cached, std::not_fn(is_cached));
  s.pass(cached, &s.pages.cache());
  s.pass(others, nullptr);
  ++s.totals.steps;
  s.totals.seconds += monotonic_seconds() - began;
  // The sink may call submit and cancel.
  for (EngineEvent& event : std::exchange(s.events, {})) sink(std::move(event));
}

EngineStatistics Engine::statistics() const {
  const State& s = *state_;
  EngineStatistics now = s.totals;
  now.running = std::ssize(s.scheduler.running());
  now.waiting = std::ssize(s.scheduler.waiting());
  const PagePool& pool = s.pages.pool();
  now.pages = pool.size();
  now.used_pages = pool.used();
  now.cached_pages = pool.kept();
  now.free_pages = pool.free();
  now.page_bytes = s.page_bytes;
  now.preemptions = s.scheduler.preemptions();
  now.resident_adapters = s.adapters.bank().size();
  now.adapter_loads = s.adapters.loads();
  now.adapter_evictions = s.adapters.evictions();
  return now;
}

}  // namespace lowrank
