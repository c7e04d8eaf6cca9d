#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/rng.h"
#include "infer/sampler.h"
#include "infer/stoppable_text.h"
#include "model/hooks.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

/// Where a continuation ends.
struct ContinuationEnd {
  int64_t max_new_tokens = 0;
  int64_t room = 0;                    ///< most tokens of prompt and continuation together
  std::vector<std::string> stop = {};  ///< texts that end it and are left out
  std::vector<int64_t> tokens = {};    ///< that end it beside the tokenizer's own
  bool ignore_eos = false;             ///< end tokens are treated like any other
  int64_t min_new_tokens = 0;          ///< before them there is no end token
};

/// The tokens that end a text; none if they are ignored.
std::vector<int64_t> end_tokens_of(const Tokenizer& tokenizer, const ContinuationEnd& end);
/// Excludes the `ends` from the token to be chosen: sets their `scores` [vocabulary] to -inf.
void exclude_ends(std::span<float> scores, std::span<const int64_t> ends);

/// A prompt and the text that continues it, as it grows by one token at a time.
class Continuation {
 public:
  /// Random choices are derived from (`sampling.seed`, `stream`). The tokenizer must outlive it.
  Continuation(const Tokenizer& tokenizer, std::vector<int64_t> prompt, const SamplingOptions& sampling,
               uint64_t stream, ContinuationEnd end);

  /// Chooses the next token from the logits after the last one, which are modified; returns the text that can
  /// be shown now. An end token is not added. Errors: as `sample`.
  std::string take(std::span<float> logits);
  /// Ends the text; returns what was held back.
  std::string finish() { return text_.finish(); }

  /// True when no token is to follow, and whether that is because of an end token or a stop text.
  bool done() const { return done_; }
  bool ended() const { return ended_; }
  /// Prompt and continuation.
  const std::vector<int64_t>& tokens() const { return tokens_; }
  int64_t size() const { return std::ssize(tokens_); }
  int64_t prompt() const { return prompt_; }  ///< tokens
  int64_t generated() const { return size() - prompt_; }
  std::span<const int64_t> generated_tokens() const { return std::span(tokens_).subspan(prompt_); }
  const std::string& text() const { return text_.text(); }
  const ContinuationEnd& end() const { return end_; }

 private:
  std::vector<int64_t> tokens_;
  int64_t prompt_;
  SamplingOptions sampling_;
  ContinuationEnd end_;
  std::vector<int64_t> end_tokens_;
  Philox random_;
  StoppableText text_;
  bool done_ = false, ended_ = false;
};

/// What a method puts in front of a sequence.
struct Front {
  int64_t positions = 0;  ///< of the context
  int64_t rows = 0;       ///< of the cache
};

/// The front of a sequence of `length` tokens. `adapter`: as in Batch::adapters.
Front front_of(const Hooks& hooks, int64_t length, int64_t adapter);

/// The logits (f32) after the last token of each sequence, [S, vocabulary], in the order into which the hooks
/// bring the batch's `examples`. `cache` may be null.
at::Tensor next_logits(const Model& model, const Hooks& hooks, Batch& batch, KvCache* cache);

}  // namespace lowrank
