#include "infer/generate.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "base/finite.h"
#include "base/interrupt.h"

namespace lowrank {
namespace {

/// Text that grows one token at a time and is checked for stop texts.
class StoppableText {
 public:
  StoppableText(const Tokenizer& tokenizer, const std::vector<std::string>& stop)
      : decoder_(tokenizer), stop_(stop) {}

  /// Adds a token; returns what may be shown now.
  std::string add(int64_t id) {
    text_ += decoder_.next(id);
    return release(false);
  }
  /// Ends the generation; returns what was held back.
  std::string finish() {
    if (!stopped_) text_ += decoder_.finish();
    return release(true);
  }

  bool stopped() const { return stopped_; }
  const std::string& text() const { return text_; }

 private:
  std::string release(bool last) {
    for (const std::string& stop : stop_) {
      // No stop text begins within what was shown.
      const size_t found =
          stop.empty() ? std::string::npos : text_.find(stop, std::min(shown_, text_.size()));
      if (found == std::string::npos) continue;
      text_.resize(found);
      stopped_ = true;
    }
    size_t end = text_.size();
    if (!last && !stopped_) end -= held_back();
    if (end <= shown_) return {};
    std::string piece = text_.substr(shown_, end - shown_);
    shown_ = end;
    return piece;
  }

  /// Number of bytes at the end that may be the beginning of a stop text.
  size_t held_back() const {
    size_t most = 0;
    for (const std::string& stop : stop_) {
      for (size_t length = std::min(stop.size(), text_.size()); length > most; --length) {
        if (std::string_view(text_).ends_with(std::string_view(stop).substr(0, length))) most = length;
      }
    }
    return most;
  }

  StreamDecoder decoder_;
  const std::vector<std::string>& stop_;
  std::string text_;
  size_t shown_ = 0;
  bool stopped_ = false;
};

struct Sequence {
  int64_t index = 0;            ///< of the prompt
  std::vector<int64_t> tokens;  ///< prompt and generated
  size_t prompt = 0;
  int64_t adapter = no_adapter;
  int64_t virtual_positions = 0, virtual_rows = 0;  ///< of its method
  size_t cached = 0;                                ///< tokens that the model has seen
  Philox random{0};
  StoppableText text;
  bool ended = false, done = false;
};

/// What a method puts in front of a sequence.
struct Front {
  int64_t virtual_positions = 0, virtual_rows = 0;
};

/// The adapter of a prompt.
int64_t adapter_of(const GenerationOptions& options, int64_t index) {
  return options.adapters.empty() ? no_adapter : options.adapters.at(index);
}

/// Errors: invalid when the prompt has no tokens or leaves no room in the context.
Front front_of(const Model& model, const Hooks& hooks, int64_t index, const std::vector<int64_t>& prompt,
               int64_t adapter) {
  check(!prompt.empty(), ErrorKind::invalid, "prompt {} has no tokens", index + 1);
  const int64_t context = model.spec().max_positions;
  const int64_t length = std::ssize(prompt);
  Batch alone{prompt, {}, {0, length}, {}, {0}, {}, {}, {}, {adapter}};
  for (int64_t i = 0; i < length; ++i) alone.positions.push_back(i);
  hooks.layout(alone);
  const int64_t positions = alone.positions.back() + 1 - length;
  const std::string behind = positions > 0 ? fmt::format(" behind {} virtual ones", positions) : "";
  check(positions + length < context, ErrorKind::invalid, "prompt {} has {} tokens{}, the model's context {}",
        index + 1, length, behind, context);
  return {positions, alone.token_count() - length};
}

class Group {
 public:
  Group(const Model& model, const Hooks& hooks, const Tokenizer& tokenizer, const GenerationOptions& options,
        const TextSink& sink)
      : model_(model), hooks_(hooks), tokenizer_(tokenizer), options_(options), sink_(sink) {}

  void add(int64_t index, const std::vector<int64_t>& prompt) {
    const int64_t adapter = adapter_of(options_, index);
    const Front front = front_of(model_, hooks_, index, prompt, adapter);
    sequences_.push_back({index, prompt, prompt.size(), adapter, front.virtual_positions, front.virtual_rows,
                          0,
                          Philox(static_cast<uint64_t>(options_.sampling.seed), static_cast<uint64_t>(index)),
                          StoppableText(tokenizer_, options_.stop)});
  }

  void run(std::vector<Generation>& results) {
    if (options_.max_new_tokens > 0) decode();
    for (Sequence& sequence : sequences_) {
      const std::string rest = sequence.text.finish();
      if (sink_ && !rest.empty()) sink_(sequence.index, rest);
      results[sequence.index] = {
          {sequence.tokens.begin() + static_cast<int64_t>(sequence.prompt), sequence.tokens.end()},
          sequence.text.text(),
          sequence.ended};
    }
  }

 private:
  /// The tokens that the model has not yet seen, of every unfinished sequence.
  Batch next_batch() const {
    Batch batch;
    batch.offsets.push_back(0);
    for (size_t slot = 0; slot < sequences_.size(); ++slot) {
      const Sequence& sequence = sequences_[slot];
      if (sequence.done) continue;
      for (size_t i = sequence.cached; i < sequence.tokens.size(); ++i) {
        batch.tokens.push_back(sequence.tokens[i]);
        batch.positions.push_back(static_cast<int64_t>(i));
      }
      batch.offsets.push_back(batch.token_count());
      batch.examples.push_back(static_cast<int64_t>(slot));
      batch.prompt_rows.push_back(static_cast<int64_t>(sequence.prompt));
      batch.adapters.push_back(sequence.adapter);
    }
    return batch;
  }

  /// Most tokens that a sequence may have; virtual ones take positions of the context.
  int64_t room(const Sequence& sequence) const {
    return model_.spec().max_positions - sequence.virtual_positions;
  }

  bool is_end(int64_t id) const {
    return tokenizer_.ends_generation(id) ||
           std::ranges::find(options_.end_tokens, id) != options_.end_tokens.end();
  }

  /// Cache rows per sequence.
  int64_t capacity() const {
    int64_t most = 0;
    for (const Sequence& sequence : sequences_) {
      const int64_t tokens = static_cast<int64_t>(sequence.prompt) + options_.max_new_tokens;
      most = std::max(most, std::min(room(sequence), tokens) + sequence.virtual_rows);
    }
    return most;
  }

  /// Recomputes a text that outgrows the positions for which its cached keys' rotary frequencies are valid.
  void forget_outgrown(KvCache& cache) {
    if (!model_.spec().restarts_cache) return;
    for (size_t slot = 0; slot < sequences_.size(); ++slot) {
      Sequence& sequence = sequences_[slot];
      const int64_t most = model_.spec().fixed_positions - sequence.virtual_positions;
      if (std::ssize(sequence.tokens) <= most || static_cast<int64_t>(sequence.cached) > most) continue;
      cache.clear(static_cast<int64_t>(slot));
      sequence.cached = 0;
    }
  }

  void decode() {
    std::optional<KvCache> cache;
    if (hooks_.can_cache()) cache.emplace(static_cast<int64_t>(sequences_.size()), capacity());
    for (Batch batch = next_batch(); batch.sequences() > 0; batch = next_batch()) {
      throw_if_interrupted();
      hooks_.layout(batch);
      std::vector<int64_t> last;
      for (int64_t s = 0; s < batch.sequences(); ++s) last.push_back(batch.offsets[s + 1] - 1);
      const at::Tensor logits =
          batch_logits(model_, {&batch}, hooks_, last, cache ? &*cache : nullptr).contiguous();
      float* row = logits.mutable_data_ptr<float>();
      for (const int64_t slot : batch.examples) {
        take(sequences_[slot], {row, static_cast<size_t>(logits.size(1))});
        row += logits.size(1);
      }
      if (cache) forget_outgrown(*cache);
    }
  }

  void take(Sequence& sequence, std::span<float> logits) {
    if (hooks_.can_cache()) sequence.cached = sequence.tokens.size();
    if (const auto bad = first_not_finite(logits)) {
      fail(ErrorKind::invalid, "prompt {}: after {} tokens the model's logit of token {} is {}",
           sequence.index + 1, sequence.tokens.size(), *bad, logits[*bad]);
    }
    const int64_t id = sample(logits, sequence.tokens, options_.sampling, sequence.random);
    if (!options_.ignore_eos && is_end(id)) {
      sequence.ended = sequence.done = true;
      return;
    }
    sequence.tokens.push_back(id);
    const std::string piece = sequence.text.add(id);
    if (sink_ && !piece.empty()) sink_(sequence.index, piece);
    sequence.ended = sequence.text.stopped();
    const auto generated = static_cast<int64_t>(sequence.tokens.size() - sequence.prompt);
    sequence.done = sequence.ended || generated == options_.max_new_tokens ||
                    static_cast<int64_t>(sequence.tokens.size()) >= room(sequence);
  }

  const Model& model_;
  const Hooks& hooks_;
  const Tokenizer& tokenizer_;
  const GenerationOptions& options_;
  const TextSink& sink_;
  std::vector<Sequence> sequences_;
};

}  // namespace

std::vector<Field> GenerationOptions::fields() {
  std::vector<Field> all = sampling.fields();
  const std::vector<Field> own{
      limited(field("max_new_tokens", max_new_tokens, "most tokens to generate"), 0, 1 << 20),
      limited(field("batch_size", batch_size, "sequences decoded together"), 1, 4096),
      field("ignore_eos", ignore_eos, "continue after a token that ends the text"),
      field("stop", stop, "texts at which generation ends")};
  all.insert(all.end(), own.begin(), own.end());
  return all;
}

std::vector<Generation> generate(const Model& model, const InferenceHooks& ready, const Tokenizer& tokenizer,
                                 std::span<const std::vector<int64_t>> prompts,
                                 const GenerationOptions& options, const TextSink& sink,
                                 const GenerationSink& finished) {
  const at::NoGradGuard no_grad;
  const Hooks& hooks = *ready;
  std::vector<Generation> results(prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    front_of(model, hooks, index, prompts[i], adapter_of(options, index));
  }
  for (size_t begin = 0; begin < prompts.size(); begin += options.batch_size) {
    Group group(model, hooks, tokenizer, options, sink);
    const size_t end = std::min(prompts.size(), begin + options.batch_size);
    for (size_t i = begin; i < end; ++i) group.add(static_cast<int64_t>(i), prompts[i]);
    group.run(results);
    for (size_t i = begin; finished && i < end; ++i) finished(static_cast<int64_t>(i), results[i]);
  }
  return results;
}

}  // namespace lowrank
