#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "model/model.h"

namespace lowrank {

/// How a text's embedding is computed: from the text to its ids, and from its hidden states to one vector.
struct EmbeddingForm {
  Pooling pooling = Pooling::mean;
  bool normalised = false;  ///< to length 1
  /// Longer texts are cut; special tokens count. May exceed the context.
  std::optional<int64_t> max_tokens = {};
  std::string prompt = {};  ///< in front of every text
  bool lowercase = false;   ///< texts are lower-cased whatever the tokenizer does
};

/// What a sentence-transformers folder of either layout specifies (modules.json and the configurations of its
/// modules, as sentence-transformers 6.2 reads them); the mean, not normalised, for any other model. `width`:
/// of the hidden states. Errors: not_found for a missing pooling configuration; corrupt for files that are
/// malformed, contradict each other or lead out of the folder; unsupported, by name, for other poolings and
/// modules.
EmbeddingForm embedding_form(const std::filesystem::path& model, int64_t width);

}  // namespace lowrank
