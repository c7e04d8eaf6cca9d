#pragma once

#include <filesystem>

#include <nlohmann/json.hpp>

#include "text/tokenizer_spec.h"

namespace lowrank {

/// The tokenizer of a Hugging Face folder: tokenizer.json (byte-level BPE), with the special tokens that
/// tokenizer_config.json and generation_config.json name. Errors: not_found, corrupt; unsupported for other
/// models, normalisers, pre-tokenizers and post-processors, the component named.
TokenizerSpec tokenizer_spec_from_folder(const std::filesystem::path& folder);

/// What tokenizer.json says of this tokenizer, and what tokenizer_config.json adds, for a folder that is
/// written.
nlohmann::ordered_json tokenizer_json(const TokenizerSpec& spec);
nlohmann::ordered_json tokenizer_config_json(const TokenizerSpec& spec);

}  // namespace lowrank
