#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "infer/beams/beam_options.h"
#include "infer/sampler.h"
#include "model/model.h"
#include "peft/bank/inference_hooks.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

struct GenerationOptions {
  SamplingOptions sampling;
  BeamOptions beams;
  int64_t max_new_tokens = 128;
  int64_t min_new_tokens = 0;       ///< before them no end token is chosen
  int64_t batch_size = 16;          ///< prompts decoded together, each with all its beams
  std::vector<std::string> stop;    ///< texts that end a generation and are left out of it
  bool ignore_eos = false;          ///< end tokens are treated like any other
  std::vector<int64_t> end_tokens;  ///< that end a generation beside the tokenizer's own
  std::vector<int64_t> adapters;    ///< of each prompt, as in Batch::adapters; empty: no adapters

  /// The options, without `end_tokens` and `adapters`, as fields that point into this value.
  std::vector<Field> fields();
  /// Why these options make no sense together; empty if they do.
  std::string contradiction() const;
};

struct Generation {
  std::vector<int64_t> tokens;          ///< generated, without the end token
  std::string text;                     ///< without special tokens, up to a stop text
  bool ended = false;                   ///< by an end token or a stop text rather than by length
  float score = 0;                      ///< of beam search: `FinishedText::score`
  std::vector<Generation> others = {};  ///< beam search's next best texts, num_return_sequences with this one
};

/// Called with each new piece of text of a sequence; pieces hold whole characters only, and never a part of a
/// stop text. Of beam search, whose text is known at its end, there is one piece.
using TextSink = std::function<void(int64_t sequence, const std::string& text)>;

/// Called with each generation when it is finished, in the prompts' order, several at a time.
using GenerationSink = std::function<void(int64_t sequence, const Generation& made)>;

/// Continues each prompt (token ids, not empty), several at a time, with a key-value cache if the method
/// allows it; results do not depend on the grouping. All prompts are checked before the first token. Random
/// choices are derived from (seed, index of the prompt). Errors: invalid for options with a contradiction,
/// prompts that leave no room in the model's context, and logits that are not finite; interrupted.
std::vector<Generation> generate(const Model& model, const InferenceHooks& hooks, const Tokenizer& tokenizer,
                                 std::span<const std::vector<int64_t>> prompts,
                                 const GenerationOptions& options, const TextSink& sink = nullptr,
                                 const GenerationSink& finished = nullptr);

}  // namespace lowrank
