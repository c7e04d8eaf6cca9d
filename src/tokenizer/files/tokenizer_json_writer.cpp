#include <algorithm>

#include "base/error.h"
#include "tokenizer/core/byte_level.h"
#include "tokenizer/files/tokenizer_json.h"
#include "tokenizer/files/tokenizer_steps.h"
#include "tokenizer/models/merges.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

Json token_name(const TokenizerSpec& spec, const std::optional<int64_t>& id) {
  if (!id || !spec.has_token(*id)) return nullptr;
  const auto added = std::ranges::find(spec.added, *id, &AddedToken::id);
  return added != spec.added.end() ? added->content : spec.vocabulary[*id];
}

/// JSON is UTF-8; a GGUF file's strings may hold any bytes.
void check_text(std::string_view text, const std::string& what) {
  check(!first_malformed(text), ErrorKind::unsupported, "{} is not UTF-8, so tokenizer.json cannot hold it",
        what);
}

void check_texts(const TokenizerSpec& spec) {
  for (size_t id = 0; id < spec.vocabulary.size(); ++id)
    check_text(spec.vocabulary[id], fmt::format("token {}", id));
  for (const AddedToken& token : spec.added) check_text(token.content, fmt::format("token {}", token.id));
  for (size_t i = 0; i < spec.merges.size(); ++i) {
    check_text(spec.merges[i].first, fmt::format("merge {}", i));
    check_text(spec.merges[i].second, fmt::format("merge {}", i));
  }
  check_text(spec.chat_template, "the chat template");
}

/// The template for two texts; names its tokens in `tokens`.
Json pair_template(const TokenizerSpec& spec, Json& tokens) {
  Json pair = Json::array();
  for (const TemplatePart& part : spec.pair) {
    if (part.kind != TemplatePart::Kind::token) {
      const bool first = part.kind == TemplatePart::Kind::first_text;
      pair.push_back({{"Sequence", {{"id", first ? "A" : "B"}, {"type_id", part.type}}}});
      continue;
    }
    const std::string name = token_name(spec, part.id);
    pair.push_back({{"SpecialToken", {{"id", name}, {"type_id", part.type}}}});
    tokens[name] = {{"id", name}, {"ids", {part.id}}, {"tokens", {name}}};
  }
  return pair;
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
  Json pair = pair_template(spec, tokens);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}};
}

/// Vocabulary and, for BPE, merges.
Json model(const TokenizerSpec& spec) {
  if (spec.model == TokenModel::unigram) {
    Json pieces = Json::array();
    for (size_t id = 0; id < spec.vocabulary.size(); ++id)
      pieces.push_back({spec.vocabulary[id], spec.log_probabilities[id]});
    return {{"type", "Unigram"},
            {"unk_id", spec.unknown ? Json(*spec.unknown) : Json()},
            {"vocab", pieces},
            {"byte_fallback", spec.byte_fallback}};
  }
  Json vocabulary = Json::object();
  for (size_t id = 0; id < spec.vocabulary.size(); ++id) {
    if (!spec.vocabulary[id].empty()) vocabulary[spec.vocabulary[id]] = id;
  }
  if (spec.model == TokenModel::word_piece) {
    return {{"type", "WordPiece"},
            {"unk_token", token_name(spec, spec.unknown)},
            {"continuing_subword_prefix", spec.continuing_prefix},
            {"max_input_chars_per_word", spec.max_word_characters},
            {"vocab", vocabulary}};
  }
  Json merges = Json::array();
  for (const auto& [left, right] : spec.scores.empty() ? spec.merges : Merges::of_scores(spec)) {
    merges.push_back({left, right});
  }
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", token_name(spec, spec.unknown)},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", spec.fuse_unknown},
          {"byte_fallback", spec.byte_fallback},
          {"ignore_merges", spec.ignore_merges},
          {"vocab", vocabulary},
          {"merges", merges}};
}

}  // namespace

nlohmann::ordered_json tokenizer_json(const TokenizerSpec& spec) {
  check_texts(spec);
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
          {"normalizer", normalizer_json(spec.normalizer)},
          {"pre_tokenizer", pre_tokenizer_json(spec.pre_tokenizer)},
          {"post_processor", post_processor(spec)},
          {"decoder", decoder_json(spec)},
          {"model", model(spec)}};
}

nlohmann::ordered_json tokenizer_config_json(const TokenizerSpec& spec) {
  check_texts(spec);
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false},
                 {"bos_token", token_name(spec, spec.bos)},
                 {"eos_token", token_name(spec, spec.eos)},
                 {"pad_token", token_name(spec, spec.pad)}};
  if (!spec.chat_template.empty()) config["chat_template"] = spec.chat_template;
  return config;
}

}  // namespace lowrank
