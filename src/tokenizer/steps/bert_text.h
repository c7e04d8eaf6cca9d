#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "tokenizer/core/tokenizer_spec.h"

namespace lowrank {

/// BERT's clean-up of a text (Devlin et al. 2018), as Hugging Face's BertNormalizer does it.
std::string bert_normalised(std::string_view text, const BertNormalizer& options);

/// Calls `piece` for each word between white space and for each punctuation character.
void bert_split(std::string_view text, const std::function<void(std::string_view)>& piece);

}  // namespace lowrank
