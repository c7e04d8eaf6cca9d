#include "tokenizer/files/tokenizer_steps.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/json.h"
#include "tokenizer/files/base64.h"
#include "tokenizer/steps/oniguruma.h"

namespace lowrank {
namespace {

using nlohmann::json;

/// The steps of a stage, in order; `key` names the list of a `Sequence`.
std::vector<json> steps_of(const json& part, const char* key) {
  if (part.is_null()) return {};
  if (type_of_part(part) != "Sequence") return {part};
  std::vector<json> steps;
  for (const json& step : part.at(key)) {
    for (json& inner : steps_of(step, key)) steps.push_back(std::move(inner));
  }
  return steps;
}

NormalizerStep precompiled_of(const json& part, const std::string& where) {
  const json& text = part.at("precompiled_charsmap");
  const std::optional<std::string> bytes =
      text.is_string() ? from_base64(text.get_ref<const std::string&>()) : std::nullopt;
  check(bytes.has_value(), ErrorKind::corrupt, "{}: precompiled_charsmap is no text in base64", where);
  return Precompiled{Charsmap(*bytes, where)};
}

NormalizerStep normalizer_step(const json& part, const std::string& where) {
  static const std::map<std::string, TextForm> forms = {{"NFC", TextForm::nfc},
                                                        {"NFD", TextForm::nfd},
                                                        {"NFKC", TextForm::nfkc},
                                                        {"NFKD", TextForm::nfkd},
                                                        {"Lowercase", TextForm::lowercase},
                                                        {"StripAccents", TextForm::strip_accents}};
  const std::string type = type_of_part(part);
  if (const auto form = forms.find(type); form != forms.end()) return form->second;
  if (type == "Prepend") return Prepend{part.at("prepend").get<std::string>()};
  if (type == "Strip") return Strip{part.value("strip_left", true), part.value("strip_right", true)};
  if (type == "Replace" && part.at("pattern").contains("String"))
    return Replace{part["pattern"]["String"].get<std::string>(), part.at("content").get<std::string>()};
  if (type == "Replace" && part.at("pattern").contains("Regex"))
    return Replace{part["pattern"]["Regex"].get<std::string>(), part.at("content").get<std::string>(), true};
  if (type == "Precompiled") return precompiled_of(part, where);
  if (type == "BertNormalizer") {
    const bool lowercase = part.value("lowercase", true);
    const json strip = part.value("strip_accents", json());
    return BertNormalizer{part.value("clean_text", true), part.value("handle_chinese_chars", true),
                          strip.is_null() ? lowercase : strip.get<bool>(), lowercase};
  }
  unsupported_part(where, "normalizer", part);
}

SplitBehavior behavior_of(const json& part, const std::string& where) {
  static const std::map<std::string, SplitBehavior> behaviors = {
      {"Isolated", SplitBehavior::isolated},
      {"Removed", SplitBehavior::removed},
      {"MergedWithPrevious", SplitBehavior::merged_with_previous},
      {"MergedWithNext", SplitBehavior::merged_with_next},
      {"Contiguous", SplitBehavior::contiguous}};
  const auto found = behaviors.find(part.at("behavior").get<std::string>());
  if (found == behaviors.end()) unsupported_part(where, "pre-tokenizer", part);
  return found->second;
}

Metaspace metaspace_of(const json& part, const std::string& where) {
  static const std::map<std::string, PrependScheme> schemes = {
      {"never", PrependScheme::never}, {"first", PrependScheme::first}, {"always", PrependScheme::always}};
  // Older files use a flag instead.
  const std::string old = part.value("add_prefix_space", true) ? "always" : "never";
  const auto scheme = schemes.find(part.value("prepend_scheme", old));
  if (scheme == schemes.end()) unsupported_part(where, "pre-tokenizer", part);
  return {part.value("replacement", Metaspace{}.replacement), scheme->second, part.value("split", true)};
}

PreTokenizerStep pre_tokenizer_step(const json& part, const std::string& where) {
  const std::string type = type_of_part(part);
  if (type == "Split") {
    const json& pattern = part.at("pattern");
    const std::string expression = pattern.contains("Regex")
                                       ? pattern["Regex"].get<std::string>()
                                       : literal_pattern(pattern.at("String").get<std::string>());
    return Split{expression, behavior_of(part, where), part.value("invert", false)};
  }
  if (type == "ByteLevel")
    return ByteLevel{part.value("add_prefix_space", true), part.value("use_regex", true)};
  if (type == "Metaspace") return metaspace_of(part, where);
  if (type == "BertPreTokenizer") return BertPreTokenizer{};
  if (type == "Digits")
    return Split{part.value("individual_digits", false) ? digit_pattern() : digit_pattern() + "+"};
  if (type == "Whitespace") return Split{R"(\w+|[^\w\s]+)", SplitBehavior::removed, true};
  if (type == "WhitespaceSplit") return Split{R"(\s)", SplitBehavior::removed};
  if (type == "Punctuation") return Split{R"([!-/:-@\[-`{-~\p{P}])", behavior_of(part, where)};
  unsupported_part(where, "pre-tokenizer", part);
}

/// One step of SentencePiece's decoders.
void read_decoder_step(TokenDecoder& decoder, const json& step, const std::string& where) {
  const std::string type = type_of_part(step);
  if (type == "Replace" && step.at("pattern").contains("String")) {
    decoder.replacements.push_back(
        {step["pattern"]["String"].get<std::string>(), step.at("content").get<std::string>()});
  } else if (type == "ByteFallback") {
    decoder.byte_fallback = true;
  } else if (type == "Strip" && step.value("content", "") == " " &&
             json_integer(step.value("stop", json(0)), "stop", where) == 0) {
    decoder.strip_left = json_integer(step.value("start", json(0)), "start", where);
  } else if (type == "Metaspace") {
    const Metaspace metaspace = metaspace_of(step, where);
    decoder.replacements.push_back({metaspace.replacement, " "});
    decoder.strip_left = metaspace.prepend_scheme == PrependScheme::never ? 0 : 1;
  } else if (type != "Fuse") {
    unsupported_part(where, "decoder", step);
  }
}

}  // namespace

std::string type_of_part(const json& part) {
  return part.is_object() ? part.value("type", "") : "";
}

void unsupported_part(const std::string& where, std::string_view stage, const json& part) {
  fail(ErrorKind::unsupported, "{}: the {} {} is not supported (BPE, WordPiece and Unigram tokenizers are)",
       where, stage, part.dump().substr(0, 100));
}

std::vector<NormalizerStep> read_normalizer(const json& part, const std::string& where) {
  std::vector<NormalizerStep> steps;
  for (const json& step : steps_of(part, "normalizers")) steps.push_back(normalizer_step(step, where));
  return steps;
}

std::vector<PreTokenizerStep> read_pre_tokenizer(const json& part, const std::string& where) {
  std::vector<PreTokenizerStep> steps;
  for (const json& step : steps_of(part, "pretokenizers")) {
    const bool after_bytes = !steps.empty() && std::holds_alternative<ByteLevel>(steps.back());
    if (after_bytes) unsupported_part(where, "pre-tokenizer", part);
    steps.push_back(pre_tokenizer_step(step, where));
  }
  return steps;
}

TokenDecoder read_decoder(const json& part, const std::string& where) {
  TokenDecoder decoder;
  const std::string type = type_of_part(part);
  if (type == "ByteLevel") {
    decoder.byte_level = true;
  } else if (type == "WordPiece") {
    decoder.word_piece = true;
    decoder.cleanup = part.value("cleanup", true);
  } else if (part.is_null()) {
    unsupported_part(where, "decoder", part);
  } else {
    for (const json& step : steps_of(part, "decoders")) read_decoder_step(decoder, step, where);
  }
  return decoder;
}

}  // namespace lowrank
