#include "text/tokenizer_json.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"

namespace lowrank {
namespace {

using nlohmann::json;

constexpr int64_t max_file_bytes = 256 << 20;

[[noreturn]] void unsupported(const std::string& where, const char* part, const json& value) {
  fail(ErrorKind::unsupported, "{}: the {} {} is not supported (byte-level BPE tokenizers are)", where, part,
       value.dump().substr(0, 100));
}

std::string type_of(const json& part) {
  return part.is_object() ? part.value("type", "") : "";
}

void read_model(TokenizerSpec& spec, const json& model, const std::string& where) {
  const bool is_bpe = model.is_object() && model.value("type", "BPE") == "BPE" && model.contains("vocab") &&
                      model.contains("merges");
  if (!is_bpe || model.value("byte_fallback", false)) unsupported(where, "model", model.value("type", ""));
  for (const auto& [token, id] : model["vocab"].items()) {
    check(id.is_number_unsigned() && id < (1U << 24), ErrorKind::corrupt, "{}: token \"{}\" has the id {}",
          where, token, id.dump());
    const auto index = id.get<size_t>();
    if (index >= spec.vocabulary.size()) spec.vocabulary.resize(index + 1);
    check(spec.vocabulary[index].empty(), ErrorKind::corrupt, "{}: two tokens have the id {}", where, index);
    spec.vocabulary[index] = token;
  }
  for (const json& merge : model["merges"]) {
    if (merge.is_array() && merge.size() == 2) {
      spec.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
      continue;
    }
    const std::string text = merge.is_string() ? merge.get<std::string>() : "";
    const size_t space = text.find(' ');
    check(space != std::string::npos, ErrorKind::corrupt, "{}: {} is not a merge", where, merge.dump());
    spec.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  spec.ignore_merges = model.value("ignore_merges", false);
  const json unknown = model.value("unk_token", json());
  const auto found = unknown.is_string() ? std::ranges::find(spec.vocabulary, unknown.get<std::string>())
                                         : spec.vocabulary.end();
  if (found != spec.vocabulary.end()) spec.unknown = found - spec.vocabulary.begin();
}

void read_pre_tokenizer(TokenizerSpec& spec, const json& part, const std::string& where) {
  const std::string type = type_of(part);
  if (type == "Sequence") {
    for (const json& step : part["pretokenizers"]) read_pre_tokenizer(spec, step, where);
  } else if (type == "Digits" && part.value("individual_digits", false)) {
    spec.split_patterns.push_back(digit_pattern());
  } else if (type == "ByteLevel") {
    spec.add_prefix_space = part.value("add_prefix_space", true);
    if (part.value("use_regex", true)) spec.split_patterns.push_back(gpt2_pattern());
  } else {
    unsupported(where, "pre-tokenizer", part);
  }
}

void read_post_processor(TokenizerSpec& spec, const json& part, const std::string& where) {
  const std::string type = type_of(part);
  if (part.is_null() || type == "ByteLevel") return;
  if (type == "Sequence") {
    for (const json& step : part["processors"]) read_post_processor(spec, step, where);
    return;
  }
  if (type != "TemplateProcessing") unsupported(where, "post-processor", part);
  std::vector<int64_t>* side = &spec.prefix;
  for (const json& piece : part["single"]) {
    if (piece.contains("Sequence")) side = &spec.suffix;
    if (!piece.contains("SpecialToken")) continue;
    const json& ids = part["special_tokens"][piece["SpecialToken"]["id"].get<std::string>()]["ids"];
    for (const json& id : ids) side->push_back(id.get<int64_t>());
  }
}

void read_added(TokenizerSpec& spec, const json& tokens) {
  for (const json& token : tokens) {
    spec.added.push_back({token.at("content").get<std::string>(), token.at("id").get<int64_t>(),
                          token.value("special", false), token.value("single_word", false),
                          token.value("lstrip", false), token.value("rstrip", false)});
  }
}

std::optional<int64_t> id_of(const TokenizerSpec& spec, const json& named) {
  const json& text = named.is_object() && named.contains("content") ? named["content"] : named;
  if (!text.is_string()) return std::nullopt;
  const auto content = text.get<std::string>();
  const auto added = std::ranges::find(spec.added, content, &AddedToken::content);
  if (added != spec.added.end()) return added->id;
  const auto plain = std::ranges::find(spec.vocabulary, content);
  if (plain != spec.vocabulary.end()) return plain - spec.vocabulary.begin();
  return std::nullopt;
}

void read_config(TokenizerSpec& spec, const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "tokenizer_config.json";
  if (std::filesystem::exists(path)) {
    const json config = read_json_file(path, max_file_bytes);
    spec.bos = id_of(spec, config.value("bos_token", json()));
    spec.eos = id_of(spec, config.value("eos_token", json()));
    spec.pad = id_of(spec, config.value("pad_token", json()));
    const json chat = config.value("chat_template", json());
    if (chat.is_string()) spec.chat_template = chat.get<std::string>();
  }
  json ends;
  for (const char* name : {"generation_config.json", "config.json"}) {
    if (!ends.is_null() || !std::filesystem::exists(folder / name)) continue;
    ends = read_json_file(folder / name, max_file_bytes).value("eos_token_id", json());
  }
  if (ends.is_number_integer()) ends = json::array({ends});
  for (const json& id : ends.is_array() ? ends : json::array()) {
    check(id.is_number_integer(), ErrorKind::invalid, "{}: eos_token_id must be whole numbers",
          folder.string());
    spec.end_tokens.push_back(id.get<int64_t>());
  }
  if (!spec.eos && !spec.end_tokens.empty()) spec.eos = spec.end_tokens.front();
  if (spec.end_tokens.empty() && spec.eos) spec.end_tokens.push_back(*spec.eos);
}

}  // namespace

TokenizerSpec tokenizer_spec_from_folder(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "tokenizer.json";
  const std::string where = path.string();
  const json file = read_json_file(path, max_file_bytes);
  TokenizerSpec spec;
  try {
    read_model(spec, file.at("model"), where);
    read_added(spec, file.value("added_tokens", json::array()));
    const json normalizer = file.value("normalizer", json());
    spec.nfc = type_of(normalizer) == "NFC";
    if (!normalizer.is_null() && !spec.nfc) unsupported(where, "normalizer", normalizer);
    read_pre_tokenizer(spec, file.value("pre_tokenizer", json()), where);
    read_post_processor(spec, file.value("post_processor", json()), where);
  } catch (const json::exception& error) {
    fail(ErrorKind::corrupt, "{}: not laid out as a tokenizer ({})", where, error.what());
  }
  for (const AddedToken& token : spec.added) {
    check(token.id >= 0 && token.id < 1 << 24, ErrorKind::corrupt, "{}: added token \"{}\" has the id {}",
          where, token.content, token.id);
  }
  read_config(spec, folder);
  return spec;
}

}  // namespace lowrank
