#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "tokenizer/core/tokenizer_spec.h"

namespace lowrank {

/// The stages of tokenizer.json, each a step or a `Sequence` of them; null is no step. Errors: unsupported,
/// the stage and its text named, for unknown steps and for a decoder that is null; json's own for fields of
/// the wrong type.
std::vector<NormalizerStep> read_normalizer(const nlohmann::json& part, const std::string& where);
std::vector<PreTokenizerStep> read_pre_tokenizer(const nlohmann::json& part, const std::string& where);
TokenDecoder read_decoder(const nlohmann::json& part, const std::string& where);

/// The same stages in the form of tokenizer.json.
nlohmann::ordered_json normalizer_json(const std::vector<NormalizerStep>& steps);
nlohmann::ordered_json pre_tokenizer_json(const std::vector<PreTokenizerStep>& steps);
nlohmann::ordered_json decoder_json(const TokenizerSpec& spec);

/// `type` of a stage; empty if it has none.
std::string type_of_part(const nlohmann::json& part);
[[noreturn]] void unsupported_part(const std::string& where, std::string_view stage,
                                   const nlohmann::json& part);

}  // namespace lowrank
