#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "model/checkpoint.h"

namespace lowrank {

/// Errors: unsupported when write_description cannot describe this base: a GGUF file without a tokenizer, or
/// with one that has no tokenizer.json. `what` begins the message.
void check_describable(const Checkpoint& base, const std::string& what);

/// Writes what a Hugging Face folder of `base` holds beside its weights. Of a folder, the configuration, the
/// files of the tokenizer and others of their kinds (.json, .txt, .jinja, .model), and the configurations of
/// sentence-transformers' modules; of a GGUF file, the same made from its keys. `untied`: the head is no
/// longer the embedding. Gives the names that were left out: links that lead out of the model's folder, and
/// files of more than 64 MB. Errors: io; as check_describable.
std::vector<std::string> write_description(const Checkpoint& base, bool untied,
                                           const std::filesystem::path& folder);

}  // namespace lowrank
