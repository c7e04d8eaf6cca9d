#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "model/checkpoint.h"

namespace lowrank {

/// Errors: unsupported when write_description cannot describe this base: a GGUF file without a tokenizer, or
/// with one that has no tokenizer.json. `what` begins the message.
void check_describable(const Checkpoint& base, const std::string& what);

/// Writes what a Hugging Face folder of `base` holds besides its weights: for a folder, the configuration,
/// the tokenizer's files and others of their kinds (.json, .txt, .jinja, .model), and the configurations of
/// sentence-transformers' modules; for a GGUF file, a configuration and tokenizer files generated from its
/// keys. `untied`: the head is no longer tied to the embedding; `quantised`: weights are copied as the
/// configuration's `quantization_config` says, which else is left out. Returns the names of files left out:
/// links out of the model's folder, and files larger than 64 MB. Errors: io; as check_describable.
std::vector<std::string> write_description(const Checkpoint& base, bool untied, bool quantised,
                                           const std::filesystem::path& folder);

}  // namespace lowrank
