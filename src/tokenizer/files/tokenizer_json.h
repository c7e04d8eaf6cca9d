#pragma once

#include <filesystem>

#include <nlohmann/json.hpp>

#include "tokenizer/core/tokenizer_spec.h"

namespace lowrank {

/// The tokenizer of a Hugging Face folder: tokenizer.json (BPE or WordPiece) with what `read_special_tokens`
/// adds. tokenizer.json alone decides how text is split and what is put around it; `add_prefix_space`,
/// `add_bos_token` and the class in tokenizer_config.json are ignored. Errors: not_found, corrupt;
/// unsupported, the component named, for other models, normalisers, pre-tokenizers, post-processors and
/// decoders.
TokenizerSpec tokenizer_spec_from_folder(const std::filesystem::path& folder);

/// The contents of tokenizer.json and tokenizer_config.json for this tokenizer, for writing a folder. Errors:
/// unsupported for a token, merge or template that is not UTF-8.
nlohmann::ordered_json tokenizer_json(const TokenizerSpec& spec);
nlohmann::ordered_json tokenizer_config_json(const TokenizerSpec& spec);

}  // namespace lowrank
