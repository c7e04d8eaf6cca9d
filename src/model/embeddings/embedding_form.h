#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/embeddings/dense_layer.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

/// How a text's embedding is computed: from the text to its ids, and from its hidden states to one vector.
struct EmbeddingForm {
  Pooling pooling = Pooling::mean;
  std::vector<DenseLayer> dense = {};  ///< applied to the pooled vector, in order
  bool normalised = false;             ///< to length 1
  /// Longer texts are cut; special tokens count. May exceed the context.
  std::optional<int64_t> max_tokens = {};
  std::string prompt = {};                          ///< in front of every text
  std::map<std::string, std::string> prompts = {};  ///< all that the model has, by name
  bool pools_prompt = true;                         ///< a prompt's tokens are pooled with the text's
  bool lowercase = false;                           ///< texts are lower-cased whatever the tokenizer does

  /// Values of a vector, of a model with hidden states of `hidden`.
  int64_t width(int64_t hidden) const { return dense.empty() ? hidden : dense.back().out(); }
  /// The prompt of this name, or the text itself if no prompt of the model has it for a name. Errors:
  /// unsupported for a prompt whose tokens are not pooled.
  std::string prompt_of(const std::string& name_or_text) const;
};

/// What a sentence-transformers folder of either layout specifies (modules.json and the configurations of its
/// modules, as sentence-transformers 6.2 reads them). For any other model, not normalised, the mean, or of a
/// model in which tokens see only those before them the last token. Errors: not_found for a missing pooling
/// configuration; corrupt for files that are malformed, contradict each other or lead out of the folder;
/// unsupported, by name, for other poolings and modules.
EmbeddingForm embedding_form(const std::filesystem::path& model, const ModelSpec& spec);

/// The tokenizer of the model at `path`, made to lower-case if the form asks for it.
Tokenizer tokenizer_for(Tokenizer tokenizer, const EmbeddingForm& form, const std::string& path);

}  // namespace lowrank
