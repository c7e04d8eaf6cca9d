#include "infer/beam_decoding.h"

#include <algorithm>
#include <optional>

#include <ATen/ops/log_softmax.h>

#include "base/error.h"
#include "base/finite.h"
#include "base/interrupt.h"
#include "infer/beam_cache.h"
#include "infer/beams/beam_search.h"

namespace lowrank {
namespace {

/// A prompt's search and where its beams are.
struct Search {
  const BeamPrompt* prompt;
  BeamSearch beams;
  std::vector<int64_t> slots = {};        ///< of each beam, in the cache
  std::vector<StoppableText> texts = {};  ///< of each beam, if there are stop texts
  int64_t cached = 0;                     ///< tokens of each beam that the model has seen
};

class Searches {
 public:
  Searches(const Model& model, const Hooks& hooks, const Tokenizer& tokenizer,
           std::span<const BeamPrompt> prompts, const GenerationOptions& options)
      : model_(model),
        hooks_(hooks),
        tokenizer_(tokenizer),
        options_(options),
        ends_(end_tokens_of(tokenizer, {.tokens = options.end_tokens, .ignore_eos = options.ignore_eos})) {
    for (const BeamPrompt& prompt : prompts) {
      const int64_t room = model.spec().max_positions - prompt.front.positions - std::ssize(*prompt.tokens);
      searches_.push_back(
          {&prompt, BeamSearch(options.beams, *prompt.tokens, std::min(options.max_new_tokens, room))});
      if (!options.stop.empty()) searches_.back().texts.emplace_back(tokenizer, options.stop);
    }
  }

  void run() {
    begin();
    for (Batch batch = next_batch(); batch.sequences() > 0; batch = next_batch()) {
      throw_if_interrupted();
      const at::Tensor logits = next_logits(model_, hooks_, batch, cache_ ? &cache_->cache() : nullptr);
      check_finite(batch, logits);
      const at::Tensor log_probabilities = at::log_softmax(logits, -1);
      advance(batch, log_probabilities);
    }
  }

  std::vector<Generation> results() const {
    std::vector<Generation> all;
    for (const Search& search : searches_) {
      Generation& best = all.emplace_back();
      const std::vector<FinishedText>& found = search.beams.finished();
      const auto count = std::min<size_t>(found.size(), options_.beams.num_return_sequences);
      for (size_t i = 0; i < count; ++i) {
        Generation made = generation_of(found[i]);
        i == 0 ? void(best = std::move(made)) : best.others.push_back(std::move(made));
      }
    }
    return all;
  }

 private:
  bool ends(int64_t token) const { return std::ranges::binary_search(ends_, token); }

  Generation generation_of(const FinishedText& found) const {
    Generation made{found.tokens, {}, found.ended, found.score};
    if (ends(made.tokens.back())) made.tokens.pop_back();
    StoppableText text(tokenizer_, options_.stop);
    for (const int64_t token : made.tokens) text.add(token);
    text.finish();
    made.text = text.text();
    return made;
  }

  /// Gives each prompt a slot, which its first beam keeps. Without a cache, slots only tell beams apart.
  void begin() {
    const int64_t beams = options_.beams.num_beams;
    const auto slots = std::ssize(searches_) * beams;
    if (hooks_.can_cache()) {
      int64_t pages = 0;
      for (const Search& search : searches_) {
        const int64_t front = search.prompt->front.rows, prompt = search.beams.prompt();
        const int64_t room = model_.spec().max_positions - search.prompt->front.positions;
        const int64_t most = std::min(room, prompt + options_.max_new_tokens);
        pages += BeamCache::pages_for(beams, front + prompt, front + most);
      }
      cache_.emplace(slots, pages);
    }
    for (size_t i = 0; i < searches_.size(); ++i)
      searches_[i].slots = {cache_ ? cache_->begin() : static_cast<int64_t>(i) * beams};
  }

  /// The tokens that the model has not yet seen, of the beams of every search that goes on.
  Batch next_batch() {
    Batch batch;
    batch.offsets.push_back(0);
    for (Search& search : searches_) {
      if (search.beams.done()) continue;
      for (size_t beam = 0; beam < search.slots.size(); ++beam) {
        const std::vector<int64_t>& tokens = search.beams.beams()[beam].tokens;
        const int64_t slot = search.slots[beam], unseen = std::ssize(tokens) - search.cached;
        if (cache_) cache_->reserve(slot, unseen + (search.cached == 0 ? search.prompt->front.rows : 0));
        for (int64_t i = search.cached; i < std::ssize(tokens); ++i) {
          batch.tokens.push_back(tokens[i]);
          batch.positions.push_back(i);
        }
        batch.offsets.push_back(batch.token_count());
        batch.examples.push_back(slot);
        batch.prompt_rows.push_back(search.beams.prompt());
        batch.adapters.push_back(search.prompt->adapter);
      }
    }
    return batch;
  }

  void check_finite(const Batch& batch, const at::Tensor& logits) const {
    const int64_t width = logits.size(1);
    const std::span all(logits.const_data_ptr<float>(), static_cast<size_t>(logits.numel()));
    const auto bad = first_not_finite(all);
    if (!bad) return;
    const int64_t slot = batch.examples[static_cast<int64_t>(*bad) / width];
    for (const Search& search : searches_) {
      if (search.beams.done() || std::ranges::find(search.slots, slot) == search.slots.end()) continue;
      fail(ErrorKind::invalid, "prompt {}: after {} tokens the model's logit of token {} is {}",
           search.prompt->index + 1, search.beams.size(), static_cast<int64_t>(*bad) % width, all[*bad]);
    }
  }

  void advance(const Batch& batch, const at::Tensor& log_probabilities) {
    const auto width = static_cast<size_t>(log_probabilities.size(1));
    float* const data = log_probabilities.mutable_data_ptr<float>();
    std::vector<std::span<float>> of_slot(searches_.size() * options_.beams.num_beams);
    for (size_t row = 0; row < batch.examples.size(); ++row)
      of_slot[batch.examples[row]] = {data + row * width, width};
    for (Search& search : searches_) {
      if (search.beams.done()) continue;
      std::vector<BeamRow> rows;
      for (size_t beam = 0; beam < search.slots.size(); ++beam) {
        const std::span<float> row = of_slot[search.slots[beam]];
        const Beam& text = search.beams.beams()[beam];
        adjust_repetition(row, text.tokens, options_.sampling);
        if (search.beams.size() - search.beams.prompt() < options_.min_new_tokens) exclude_ends(row, ends_);
        rows.push_back({row, text.score});
      }
      take(search, rows);
    }
  }

  /// Chooses the search's next beams.
  void take(Search& search, const std::vector<BeamRow>& rows) {
    if (hooks_.can_cache()) search.cached = search.beams.size();
    const int64_t kept = std::max<int64_t>(2, 1 + std::ssize(ends_)) * options_.beams.num_beams;
    std::vector<BeamCandidate> candidates = best_candidates(rows, kept);
    check(!candidates.empty(), ErrorKind::invalid, "prompt {}: after {} tokens no other may follow",
          search.prompt->index + 1, search.beams.size());
    for (BeamCandidate& candidate : candidates)
      candidate.ends = ends(candidate.token) || stops(search, candidate);
    const std::vector<int64_t> parents = search.beams.advance(candidates);
    if (!search.texts.empty()) {
      std::vector<StoppableText> texts;
      for (size_t beam = 0; beam < parents.size(); ++beam) {
        texts.push_back(search.texts[parents[beam]]);
        texts.back().add(search.beams.beams()[beam].tokens.back());
      }
      search.texts = std::move(texts);
    }
    move(search, parents);
  }

  static bool stops(const Search& search, const BeamCandidate& candidate) {
    if (search.texts.empty()) return false;
    StoppableText text = search.texts[candidate.beam];
    text.add(candidate.token);
    return text.stopped();
  }

  /// Gives the new beams their slots. A search that is over keeps none; texts that outgrow the positions for
  /// which their cached keys' rotary frequencies are valid are computed again.
  void move(Search& search, const std::vector<int64_t>& parents) {
    if (!cache_) {
      const int64_t first = search.slots.front();
      search.slots.clear();
      for (int64_t beam = 0; beam < std::ssize(parents); ++beam) search.slots.push_back(first + beam);
      return;
    }
    search.slots = cache_->fork(search.slots, search.beams.done() ? std::span<const int64_t>() : parents);
    const int64_t most = model_.spec().fixed_positions - search.prompt->front.positions;
    if (!model_.spec().restarts_cache || search.beams.size() <= most || search.cached > most) return;
    for (const int64_t slot : search.slots) cache_->restart(slot);
    search.cached = 0;
  }

  const Model& model_;
  const Hooks& hooks_;
  const Tokenizer& tokenizer_;
  const GenerationOptions& options_;
  std::vector<int64_t> ends_;
  std::vector<Search> searches_;
  std::optional<BeamCache> cache_;
};

}  // namespace

std::vector<Generation> decode_beams(const Model& model, const Hooks& hooks, const Tokenizer& tokenizer,
                                     std::span<const BeamPrompt> prompts, const GenerationOptions& options) {
  if (options.max_new_tokens == 0) return std::vector<Generation>(prompts.size());
  Searches searches(model, hooks, tokenizer, prompts, options);
  searches.run();
  return searches.results();
}

}  // namespace lowrank
