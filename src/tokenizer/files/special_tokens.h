#pragma once

#include <filesystem>

#include "tokenizer/core/tokenizer_spec.h"

namespace lowrank {

/// Adds to a tokenizer what the other files of its folder contain. The special tokens are those of
/// tokenizer_config.json, or of special_tokens_map.json where it names none; a name without a token gets the
/// next id, as in transformers. The end tokens are those of generation_config.json, else config.json, and the
/// EOS token. The chat template is chat_template.jinja, or the one in tokenizer_config.json. Errors: corrupt,
/// invalid.
void read_special_tokens(TokenizerSpec& spec, const std::filesystem::path& folder);

}  // namespace lowrank
