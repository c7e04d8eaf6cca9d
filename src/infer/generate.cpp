#include "infer/generate.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "base/finite.h"
#include "base/interrupt.h"
#include "infer/beam_decoding.h"
#include "infer/continuation.h"

namespace lowrank {
namespace {

struct Sequence {
  int64_t index = 0;  ///< of the prompt
  int64_t adapter = no_adapter;
  Front front;
  Continuation text;
  int64_t cached = 0;  ///< tokens that the model has seen
};

/// The adapter of a prompt.
int64_t adapter_of(const GenerationOptions& options, int64_t index) {
  return options.adapters.empty() ? no_adapter : options.adapters.at(index);
}

/// Errors: invalid when the prompt has no tokens or leaves no room in the context.
Front checked_front(const Model& model, const Hooks& hooks, int64_t index, const std::vector<int64_t>& prompt,
                    int64_t adapter) {
  check(!prompt.empty(), ErrorKind::invalid, "prompt {} has no tokens", index + 1);
  const int64_t context = model.spec().max_positions;
  const int64_t length = std::ssize(prompt);
  const Front front = front_of(hooks, length, adapter);
  const std::string behind =
      front.positions > 0 ? fmt::format(" behind {} virtual ones", front.positions) : "";
  check(front.positions + length < context, ErrorKind::invalid,
        "prompt {} has {} tokens{}, the model's context {}", index + 1, length, behind, context);
  return front;
}

class Group {
 public:
  Group(const Model& model, const Hooks& hooks, const Tokenizer& tokenizer, const GenerationOptions& options,
        const TextSink& sink)
      : model_(model), hooks_(hooks), tokenizer_(tokenizer), options_(options), sink_(sink) {}

  void add(int64_t index, const std::vector<int64_t>& prompt) {
    const int64_t adapter = adapter_of(options_, index);
    const Front front = checked_front(model_, hooks_, index, prompt, adapter);
    const int64_t room = model_.spec().max_positions - front.positions;
    sequences_.push_back({index, adapter, front,
                          Continuation(tokenizer_, prompt, options_.sampling, static_cast<uint64_t>(index),
                                       {options_.max_new_tokens, room, options_.stop, options_.end_tokens,
                                        options_.ignore_eos, options_.min_new_tokens})});
  }

  void run(std::vector<Generation>& results) {
    if (options_.max_new_tokens > 0) decode();
    for (Sequence& sequence : sequences_) {
      const std::string rest = sequence.text.finish();
      if (sink_ && !rest.empty()) sink_(sequence.index, rest);
      const std::span<const int64_t> made = sequence.text.generated_tokens();
      results[sequence.index] = {{made.begin(), made.end()}, sequence.text.text(), sequence.text.ended()};
    }
  }

 private:
  /// The tokens that the model has not yet seen, of every unfinished sequence.
  Batch next_batch() const {
    Batch batch;
    batch.offsets.push_back(0);
    for (size_t slot = 0; slot < sequences_.size(); ++slot) {
      const Sequence& sequence = sequences_[slot];
      if (sequence.text.done()) continue;
      for (int64_t i = sequence.cached; i < sequence.text.size(); ++i) {
        batch.tokens.push_back(sequence.text.tokens()[i]);
        batch.positions.push_back(i);
      }
      batch.offsets.push_back(batch.token_count());
      batch.examples.push_back(static_cast<int64_t>(slot));
      batch.prompt_rows.push_back(sequence.text.prompt());
      batch.adapters.push_back(sequence.adapter);
    }
    return batch;
  }

  /// Cache rows per sequence.
  int64_t capacity() const {
    int64_t most = 0;
    for (const Sequence& sequence : sequences_) {
      const int64_t tokens = sequence.text.prompt() + options_.max_new_tokens;
      most = std::max(most, std::min(sequence.text.end().room, tokens) + sequence.front.rows);
    }
    return most;
  }

  /// Recomputes a text that outgrows the positions for which its cached keys' rotary frequencies are valid.
  void forget_outgrown(KvCache& cache) {
    if (!model_.spec().restarts_cache) return;
    for (size_t slot = 0; slot < sequences_.size(); ++slot) {
      Sequence& sequence = sequences_[slot];
      const int64_t most = model_.spec().fixed_positions - sequence.front.positions;
      if (sequence.text.size() <= most || sequence.cached > most) continue;
      cache.clear(static_cast<int64_t>(slot));
      sequence.cached = 0;
    }
  }

  void decode() {
    std::optional<KvCache> cache;
    if (hooks_.can_cache()) cache.emplace(static_cast<int64_t>(sequences_.size()), capacity());
    for (Batch batch = next_batch(); batch.sequences() > 0; batch = next_batch()) {
      throw_if_interrupted();
      const at::Tensor logits = next_logits(model_, hooks_, batch, cache ? &*cache : nullptr);
      float* row = logits.mutable_data_ptr<float>();
      for (const int64_t slot : batch.examples) {
        take(sequences_[slot], {row, static_cast<size_t>(logits.size(1))});
        row += logits.size(1);
      }
      if (cache) forget_outgrown(*cache);
    }
  }

  void take(Sequence& sequence, std::span<float> logits) {
    if (hooks_.can_cache()) sequence.cached = sequence.text.size();
    if (const auto bad = first_not_finite(logits)) {
      fail(ErrorKind::invalid, "prompt {}: after {} tokens the model's logit of token {} is {}",
           sequence.index + 1, sequence.text.size(), *bad, logits[*bad]);
    }
    const std::string piece = sequence.text.take(logits);
    if (sink_ && !piece.empty()) sink_(sequence.index, piece);
  }

  const Model& model_;
  const Hooks& hooks_;
  const Tokenizer& tokenizer_;
  const GenerationOptions& options_;
  const TextSink& sink_;
  std::vector<Sequence> sequences_;
};

BeamPrompt beam_prompt(const Model& model, const Hooks& hooks, const GenerationOptions& options,
                       std::span<const std::vector<int64_t>> prompts, size_t i) {
  const auto index = static_cast<int64_t>(i);
  const int64_t adapter = adapter_of(options, index);
  return {index, &prompts[i], adapter, checked_front(model, hooks, index, prompts[i], adapter)};
}

}  // namespace

std::vector<Field> GenerationOptions::fields() {
  std::vector<Field> all = sampling.fields();
  const std::vector<Field> own{
      limited(field("max_new_tokens", max_new_tokens, "most tokens to generate"), 0, 1 << 20),
      limited(field("min_new_tokens", min_new_tokens, "tokens before which the text does not end"), 0,
              1 << 20),
      limited(field("batch_size", batch_size, "prompts decoded together, each with all its beams"), 1, 4096),
      field("ignore_eos", ignore_eos, "continue after a token that ends the text"),
      field("stop", stop, "texts at which generation ends")};
  all.insert(all.end(), own.begin(), own.end());
  for (Field& one : beams.fields()) all.push_back(std::move(one));
  return all;
}

std::string GenerationOptions::contradiction() const {
  if (min_new_tokens > max_new_tokens)
    return fmt::format("`min_new_tokens` is {}, but `max_new_tokens` {}", min_new_tokens, max_new_tokens);
  if (beams.any() && sampling.temperature > 0)
    return "`temperature` above 0 draws tokens at random, `num_beams` above 1 searches for the likeliest "
           "text: leave one of them out";
  return beams.contradiction();
}

std::vector<Generation> generate(const Model& model, const InferenceHooks& ready, const Tokenizer& tokenizer,
                                 std::span<const std::vector<int64_t>> prompts,
                                 const GenerationOptions& options, const TextSink& sink,
                                 const GenerationSink& finished) {
  const at::NoGradGuard no_grad;
  const Hooks& hooks = *ready;
  const std::string contradiction = options.contradiction();
  check(contradiction.empty(), ErrorKind::invalid, "{}", contradiction);
  std::vector<Generation> results(prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    checked_front(model, hooks, index, prompts[i], adapter_of(options, index));
  }
  for (size_t begin = 0; begin < prompts.size(); begin += options.batch_size) {
    const size_t end = std::min(prompts.size(), begin + options.batch_size);
    if (options.beams.any()) {
      std::vector<BeamPrompt> group;
      for (size_t i = begin; i < end; ++i) group.push_back(beam_prompt(model, hooks, options, prompts, i));
      std::ranges::move(decode_beams(model, hooks, tokenizer, group, options), results.begin() + begin);
      for (size_t i = begin; sink && i < end; ++i) {
        if (!results[i].text.empty()) sink(static_cast<int64_t>(i), results[i].text);
      }
    } else {
      Group group(model, hooks, tokenizer, options, sink);
      for (size_t i = begin; i < end; ++i) group.add(static_cast<int64_t>(i), prompts[i]);
      group.run(results);
    }
    for (size_t i = begin; finished && i < end; ++i) finished(static_cast<int64_t>(i), results[i]);
  }
  return results;
}

}  // namespace lowrank
