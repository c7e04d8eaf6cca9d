#include "text/tokenizer_json.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "text/special_tokens.h"

namespace lowrank {
namespace {

using nlohmann::json;

constexpr int64_t max_file_bytes = 256 << 20;

[[noreturn]] void unsupported(const std::string& where, std::string_view part, const json& value) {
  fail(ErrorKind::unsupported, "{}: the {} {} is not supported (byte-level BPE tokenizers are)", where, part,
       value.dump().substr(0, 100));
}

std::string type_of(const json& part) {
  return part.is_object() ? part.value("type", "") : "";
}

/// The id of a token. Ids index a table, so a file with few tokens must not ask for a large one.
int64_t read_id(const json& value, size_t tokens, const std::string& token, const std::string& where) {
  constexpr int64_t gap = 1 << 18;
  const int64_t id = value.is_number_integer() ? value.get<int64_t>() : -1;
  check(id >= 0 && id < static_cast<int64_t>(tokens) + gap, ErrorKind::corrupt,
        "{}: token \"{}\" has the id {}, but there are {} tokens", where, token.substr(0, 100),
        value.dump().substr(0, 100), tokens);
  return id;
}

void read_vocabulary(TokenizerSpec& spec, const json& vocabulary, const std::string& where) {
  for (const auto& [token, value] : vocabulary.items()) {
    const int64_t id = read_id(value, vocabulary.size(), token, where);
    const auto index = static_cast<size_t>(id);
    if (index >= spec.vocabulary.size()) spec.vocabulary.resize(index + 1);
    check(spec.vocabulary[index].empty(), ErrorKind::corrupt, "{}: two tokens have the id {}", where, id);
    spec.vocabulary[index] = token;
  }
}

void read_merges(TokenizerSpec& spec, const json& merges, const std::string& where) {
  for (const json& merge : merges) {
    if (merge.is_array() && merge.size() == 2) {
      spec.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
      continue;
    }
    const std::string text = merge.is_string() ? merge.get<std::string>() : "";
    const size_t space = text.find(' ');
    check(space != std::string::npos, ErrorKind::corrupt, "{}: {} is not a merge", where,
          merge.dump().substr(0, 100));
    spec.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
}

void read_model(TokenizerSpec& spec, const json& model, const std::string& where) {
  const bool is_bpe = model.is_object() && model.value("type", "BPE") == "BPE" && model.contains("vocab") &&
                      model.contains("merges");
  if (!is_bpe) unsupported(where, "model", model.is_object() ? json(model.value("type", "")) : model);
  for (const char* option : {"byte_fallback", "dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    const json value = model.value(option, json());
    const bool off = value.is_null() || value == false || value == 0 ||
                     (value.is_string() && value.get_ref<const std::string&>().empty());
    if (!off) unsupported(where, fmt::format("model's {}", option), value);
  }
  read_vocabulary(spec, model["vocab"], where);
  read_merges(spec, model["merges"], where);
  spec.ignore_merges = model.value("ignore_merges", false);
  spec.fuse_unknown = model.value("fuse_unk", false);
  const json unknown = model.value("unk_token", json());
  if (unknown.is_null()) return;
  const auto found = std::ranges::find(spec.vocabulary, unknown.get<std::string>());
  check(found != spec.vocabulary.end(), ErrorKind::corrupt,
        "{}: the unknown token {} is not in the vocabulary", where, unknown.dump());
  spec.unknown = found - spec.vocabulary.begin();
}

/// Steps in front of `ByteLevel`, which comes last: it turns text into the byte alphabet.
void read_pre_tokenizer(TokenizerSpec& spec, const json& part, const std::string& where) {
  const json steps = type_of(part) == "Sequence" ? part.at("pretokenizers") : json::array({part});
  for (size_t i = 0; i < steps.size(); ++i) {
    const std::string type = type_of(steps[i]);
    const bool last = i + 1 == steps.size();
    if (type == "Digits" && !last && steps[i].value("individual_digits", false)) {
      spec.split_patterns.push_back(digit_pattern());
    } else if (type == "ByteLevel" && last) {
      spec.add_prefix_space = steps[i].value("add_prefix_space", true);
      spec.split_words = steps[i].value("use_regex", true);
    } else {
      unsupported(where, "pre-tokenizer", part);
    }
  }
  if (steps.empty()) unsupported(where, "pre-tokenizer", part);
}

void read_post_processor(TokenizerSpec& spec, const json& part, const std::string& where) {
  const std::string type = type_of(part);
  if (part.is_null() || type == "ByteLevel") return;
  if (type == "Sequence") {
    for (const json& step : part.at("processors")) read_post_processor(spec, step, where);
    return;
  }
  if (type != "TemplateProcessing") unsupported(where, "post-processor", part);
  std::vector<int64_t>* side = &spec.prefix;
  for (const json& piece : part.at("single")) {
    if (piece.contains("Sequence")) side = &spec.suffix;
    if (!piece.contains("SpecialToken")) continue;
    const auto name = piece["SpecialToken"].at("id").get<std::string>();
    for (const json& id : part.at("special_tokens").at(name).at("ids")) {
      side->push_back(read_id(id, spec.vocabulary.size() + spec.added.size(), name, where));
    }
  }
}

void read_added(TokenizerSpec& spec, const json& tokens, const std::string& where) {
  for (const json& token : tokens) {
    const auto content = token.at("content").get<std::string>();
    const int64_t id = read_id(token.at("id"), spec.vocabulary.size() + tokens.size(), content, where);
    const bool special = token.value("special", false);
    spec.added.push_back({content, id, special, token.value("single_word", false),
                          token.value("lstrip", false), token.value("rstrip", false),
                          token.value("normalized", !special)});
  }
}

void read_tokenizer(TokenizerSpec& spec, const json& file, const std::string& where) {
  read_model(spec, file.at("model"), where);
  read_added(spec, file.value("added_tokens", json::array()), where);
  const json normalizer = file.value("normalizer", json());
  spec.nfc = type_of(normalizer) == "NFC";
  if (!normalizer.is_null() && !spec.nfc) unsupported(where, "normalizer", normalizer);
  read_pre_tokenizer(spec, file.value("pre_tokenizer", json()), where);
  read_post_processor(spec, file.value("post_processor", json()), where);
  const json decoder = file.value("decoder", json());
  if (type_of(decoder) != "ByteLevel") unsupported(where, "decoder", decoder);
}

}  // namespace

TokenizerSpec tokenizer_spec_from_folder(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "tokenizer.json";
  const std::string where = path.string();
  const json file = read_json_file(path, max_file_bytes);
  TokenizerSpec spec;
  try {
    read_tokenizer(spec, file, where);
  } catch (const json::exception& error) {
    fail(ErrorKind::corrupt, "{}: not laid out as a tokenizer ({})", where, error.what());
  }
  read_special_tokens(spec, folder);
  return spec;
}

}  // namespace lowrank
