#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "infer/continuation.h"
#include "infer/generate.h"

namespace lowrank {

/// A prompt whose length has been checked.
struct BeamPrompt {
  int64_t index = 0;  ///< among all prompts, for messages
  const std::vector<int64_t>* tokens = nullptr;
  int64_t adapter = no_adapter;  ///< as in Batch::adapters
  Front front;
};

/// What beam search finds for each prompt. The prompts' beams advance together: after a pass over the
/// prompts, each pass computes one token of every beam, and whole texts where the method allows no cache.
/// Errors: as `generate`.
std::vector<Generation> decode_beams(const Model& model, const Hooks& hooks, const Tokenizer& tokenizer,
                                     std::span<const BeamPrompt> prompts, const GenerationOptions& options);

}  // namespace lowrank
