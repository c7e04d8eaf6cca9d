#pragma once

#include <filesystem>

#include <nlohmann/json.hpp>

#include "text/tokenizer_spec.h"

namespace lowrank {

/// The tokenizer of a Hugging Face folder: tokenizer.json (BPE or WordPiece) with what `read_special_tokens`
/// adds. tokenizer.json alone decides how text is cut and what stands around it; `add_prefix_space`,
/// `add_bos_token` and the class in tokenizer_config.json are not looked at. Errors: not_found, corrupt;
/// unsupported for other models, normalisers, pre-tokenizers, post-processors and decoders, the component
/// named.
TokenizerSpec tokenizer_spec_from_folder(const std::filesystem::path& folder);

/// What tokenizer.json says of this tokenizer, and what tokenizer_config.json adds, for a folder that is
/// written. Errors: unsupported for a token, merge or template that is not UTF-8.
nlohmann::ordered_json tokenizer_json(const TokenizerSpec& spec);
nlohmann::ordered_json tokenizer_config_json(const TokenizerSpec& spec);

}  // namespace lowrank
