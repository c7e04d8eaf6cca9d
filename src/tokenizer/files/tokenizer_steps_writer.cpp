#include "tokenizer/files/base64.h"
#include "tokenizer/files/tokenizer_steps.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

/// One step as it is, several as a `Sequence`, none as null.
Json in_sequence(const std::vector<Json>& steps, const char* key) {
  if (steps.empty()) return nullptr;
  if (steps.size() == 1) return steps.front();
  return {{"type", "Sequence"}, {key, steps}};
}

Json replace_json(const Replace& replace) {
  const char* kind = replace.regex ? "Regex" : "String";
  return {{"type", "Replace"}, {"pattern", {{kind, replace.pattern}}}, {"content", replace.content}};
}

const char* name_of(TextForm form) {
  switch (form) {
    case TextForm::nfc:
      return "NFC";
    case TextForm::nfd:
      return "NFD";
    case TextForm::nfkc:
      return "NFKC";
    case TextForm::nfkd:
      return "NFKD";
    case TextForm::lowercase:
      return "Lowercase";
    case TextForm::strip_accents:
      return "StripAccents";
  }
  return "";
}

const char* name_of(SplitBehavior behavior) {
  switch (behavior) {
    case SplitBehavior::isolated:
      return "Isolated";
    case SplitBehavior::removed:
      return "Removed";
    case SplitBehavior::merged_with_previous:
      return "MergedWithPrevious";
    case SplitBehavior::merged_with_next:
      return "MergedWithNext";
    case SplitBehavior::contiguous:
      return "Contiguous";
  }
  return "";
}

const char* name_of(PrependScheme scheme) {
  return scheme == PrependScheme::never ? "never" : scheme == PrependScheme::first ? "first" : "always";
}

struct StepWriter {
  Json operator()(TextForm form) const { return {{"type", name_of(form)}}; }
  Json operator()(const Replace& replace) const { return replace_json(replace); }
  Json operator()(const Prepend& prepend) const { return {{"type", "Prepend"}, {"prepend", prepend.text}}; }
  Json operator()(const Strip& strip) const {
    return {{"type", "Strip"}, {"strip_left", strip.left}, {"strip_right", strip.right}};
  }
  Json operator()(const BertNormalizer& bert) const {
    return {{"type", "BertNormalizer"},
            {"clean_text", bert.clean_text},
            {"handle_chinese_chars", bert.handle_chinese_chars},
            {"strip_accents", bert.strip_accents},
            {"lowercase", bert.lowercase}};
  }
  Json operator()(const Precompiled& precompiled) const {
    return {{"type", "Precompiled"}, {"precompiled_charsmap", to_base64(precompiled.map.bytes())}};
  }
  Json operator()(const Split& split) const {
    return {{"type", "Split"},
            {"pattern", {{"Regex", split.pattern}}},
            {"behavior", name_of(split.behavior)},
            {"invert", split.invert}};
  }
  Json operator()(const ByteLevel& bytes) const {
    return {{"type", "ByteLevel"},
            {"add_prefix_space", bytes.add_prefix_space},
            {"trim_offsets", true},
            {"use_regex", bytes.use_regex}};
  }
  Json operator()(const Metaspace& metaspace) const {
    return {{"type", "Metaspace"},
            {"replacement", metaspace.replacement},
            {"prepend_scheme", name_of(metaspace.prepend_scheme)},
            {"split", metaspace.split}};
  }
  Json operator()(const BertPreTokenizer&) const { return {{"type", "BertPreTokenizer"}}; }
};

template <typename Step>
Json stage(const std::vector<Step>& steps, const char* key) {
  std::vector<Json> written;
  written.reserve(steps.size());
  for (const Step& step : steps) written.push_back(std::visit(StepWriter(), step));
  return in_sequence(written, key);
}

}  // namespace

Json normalizer_json(const std::vector<NormalizerStep>& steps) {
  return stage(steps, "normalizers");
}

Json pre_tokenizer_json(const std::vector<PreTokenizerStep>& steps) {
  return stage(steps, "pretokenizers");
}

Json decoder_json(const TokenizerSpec& spec) {
  const TokenDecoder& decoder = spec.decoder;
  if (decoder.byte_level)
    return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  if (decoder.word_piece)
    return {{"type", "WordPiece"}, {"prefix", spec.continuing_prefix}, {"cleanup", decoder.cleanup}};
  std::vector<Json> steps;
  steps.reserve(decoder.replacements.size() + 3);
  for (const Replace& replace : decoder.replacements) steps.push_back(replace_json(replace));
  if (decoder.byte_fallback) steps.push_back({{"type", "ByteFallback"}});
  steps.push_back({{"type", "Fuse"}});
  if (decoder.strip_left > 0)
    steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", decoder.strip_left}, {"stop", 0}});
  return in_sequence(steps, "decoders");
}

}  // namespace lowrank
