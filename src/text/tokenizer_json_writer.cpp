#include <algorithm>

#include "text/tokenizer_json.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

Json token_name(const TokenizerSpec& spec, const std::optional<int64_t>& id) {
  if (!id) return nullptr;
  const auto added = std::ranges::find(spec.added, *id, &AddedToken::id);
  return added != spec.added.end() ? added->content : spec.vocabulary[*id];
}

/// The steps before byte-pair encoding: a digit split is `Digits`, the GPT-2 split is part of `ByteLevel`.
Json pre_tokenizer(const TokenizerSpec& spec) {
  Json steps = Json::array();
  for (const std::string& pattern : spec.split_patterns) {
    if (pattern == digit_pattern()) steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  }
  steps.push_back({{"type", "ByteLevel"},
                   {"add_prefix_space", spec.add_prefix_space},
                   {"trim_offsets", true},
                   {"use_regex", spec.split_words}});
  if (steps.size() == 1) return steps.front();
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

Json post_processor(const TokenizerSpec& spec) {
  if (spec.prefix.empty() && spec.suffix.empty()) return nullptr;
  Json single = Json::array();
  Json tokens = Json::object();
  const auto add = [&](const std::vector<int64_t>& ids) {
    for (const int64_t id : ids) {
      const std::string name = token_name(spec, id);
      single.push_back({{"SpecialToken", {{"id", name}, {"type_id", 0}}}});
      tokens[name] = {{"id", name}, {"ids", {id}}, {"tokens", {name}}};
    }
  };
  add(spec.prefix);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  add(spec.suffix);
  Json pair = single;
  pair.push_back({{"Sequence", {{"id", "B"}, {"type_id", 1}}}});
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}};
}

}  // namespace

nlohmann::ordered_json tokenizer_json(const TokenizerSpec& spec) {
  Json vocabulary = Json::object();
  for (size_t id = 0; id < spec.vocabulary.size(); ++id) {
    if (!spec.vocabulary[id].empty()) vocabulary[spec.vocabulary[id]] = id;
  }
  Json merges = Json::array();
  for (const auto& [left, right] : spec.merges) merges.push_back({left, right});
  Json added = Json::array();
  for (const AddedToken& token : spec.added) {
    added.push_back({{"id", token.id},
                     {"content", token.content},
                     {"single_word", token.single_word},
                     {"lstrip", token.lstrip},
                     {"rstrip", token.rstrip},
                     {"normalized", token.normalized},
                     {"special", token.special}});
  }
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", spec.nfc ? Json{{"type", "NFC"}} : Json()},
          {"pre_tokenizer", pre_tokenizer(spec)},
          {"post_processor", post_processor(spec)},
          {"decoder",
           {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", token_name(spec, spec.unknown)},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", spec.fuse_unknown},
            {"byte_fallback", false},
            {"ignore_merges", spec.ignore_merges},
            {"vocab", vocabulary},
            {"merges", merges}}}};
}

nlohmann::ordered_json tokenizer_config_json(const TokenizerSpec& spec) {
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false},
                 {"bos_token", token_name(spec, spec.bos)},
                 {"eos_token", token_name(spec, spec.eos)},
                 {"pad_token", token_name(spec, spec.pad)}};
  if (!spec.chat_template.empty()) config["chat_template"] = spec.chat_template;
  return config;
}

}  // namespace lowrank
