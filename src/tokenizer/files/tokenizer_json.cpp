#include "tokenizer/files/tokenizer_json.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "base/json.h"
#include "tokenizer/files/special_tokens.h"
#include "tokenizer/files/tokenizer_steps.h"

namespace lowrank {
namespace {

using nlohmann::json;

constexpr int64_t max_file_bytes = 256 << 20;

/// Obsolete options of a model, which must be off.
void refuse_options(const json& model, std::initializer_list<const char*> options, const std::string& where) {
  for (const char* option : options) {
    const json value = model.value(option, json());
    const bool off = value.is_null() || value == false || value == 0 ||
                     (value.is_string() && value.get_ref<const std::string&>().empty());
    if (!off) unsupported_part(where, fmt::format("model's {}", option), value);
  }
}

/// The id of a token. Ids index a table, so a file with few tokens must not require a large one.
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

void read_unknown(TokenizerSpec& spec, const json& model, const std::string& where) {
  const json unknown = model.value("unk_token", json());
  if (unknown.is_null()) return;
  const auto found = std::ranges::find(spec.vocabulary, unknown.get<std::string>());
  check(found != spec.vocabulary.end(), ErrorKind::corrupt,
        "{}: the unknown token {} is not in the vocabulary", where, unknown.dump());
  spec.unknown = found - spec.vocabulary.begin();
}

/// Longer pieces would make long texts slow.
constexpr size_t most_piece_bytes = 4096;

void read_unigram(TokenizerSpec& spec, const json& model, const std::string& where) {
  spec.model = TokenModel::unigram;
  for (const json& piece : model.at("vocab")) {
    const bool holds = piece.is_array() && piece.size() == 2 && piece[0].is_string() && piece[1].is_number();
    check(holds && piece[0].get_ref<const std::string&>().size() <= most_piece_bytes, ErrorKind::corrupt,
          "{}: {} is not a token of up to {} bytes with its score", where, piece.dump().substr(0, 100),
          most_piece_bytes);
    spec.vocabulary.push_back(piece[0].get<std::string>());
    spec.log_probabilities.push_back(piece[1].get<double>());
  }
  check(!spec.vocabulary.empty(), ErrorKind::corrupt, "{}: the vocabulary is empty", where);
  spec.byte_fallback = model.value("byte_fallback", false);
  const json unknown = model.value("unk_id", json());
  if (unknown.is_null()) return;
  const bool known = unknown.is_number_integer() && unknown >= 0 && unknown < spec.vocabulary.size();
  check(known, ErrorKind::corrupt, "{}: unk_id {} is the id of none of the {} tokens", where,
        unknown.dump().substr(0, 100), spec.vocabulary.size());
  spec.unknown = unknown.get<int64_t>();
}

void read_model(TokenizerSpec& spec, const json& model, const std::string& where) {
  const std::string type =
      model.is_object() ? model.value("type", model.contains("merges") ? "BPE" : "") : "";
  if (type == "Unigram") return read_unigram(spec, model, where);
  const bool word_piece = type == "WordPiece";
  if (!word_piece && type != "BPE") unsupported_part(where, "model", model.is_object() ? json(type) : model);
  read_vocabulary(spec, model.at("vocab"), where);
  if (word_piece) {
    spec.model = TokenModel::word_piece;
    spec.continuing_prefix = model.value("continuing_subword_prefix", spec.continuing_prefix);
    constexpr const char* most = "max_input_chars_per_word";
    if (model.contains(most)) spec.max_word_characters = json_integer(model[most], most, where);
  } else {
    refuse_options(model, {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}, where);
    read_merges(spec, model.at("merges"), where);
    spec.byte_fallback = model.value("byte_fallback", false);
    spec.ignore_merges = model.value("ignore_merges", false);
    spec.fuse_unknown = model.value("fuse_unk", false);
  }
  read_unknown(spec, model, where);
}

/// The parts of a template, which is `single` or `pair`.
std::vector<TemplatePart> read_parts(const TokenizerSpec& spec, const json& part, const char* template_name,
                                     const std::string& where) {
  std::vector<TemplatePart> parts;
  for (const json& piece : part.value(template_name, json::array())) {
    const bool is_text = piece.contains("Sequence");
    if (!is_text && !piece.contains("SpecialToken")) continue;
    const json& entry = piece[is_text ? "Sequence" : "SpecialToken"];
    const auto name = entry.at("id").get<std::string>();
    const int64_t type = entry.value("type_id", 0);
    if (is_text) {
      const bool first = name == "A";
      parts.push_back({first ? TemplatePart::Kind::first_text : TemplatePart::Kind::second_text, 0, type});
      continue;
    }
    for (const json& id : part.at("special_tokens").at(name).at("ids")) {
      parts.push_back({TemplatePart::Kind::token,
                       read_id(id, spec.vocabulary.size() + spec.added.size(), name, where), type});
    }
  }
  return parts;
}

void read_template(TokenizerSpec& spec, const json& part, const std::string& where) {
  std::vector<int64_t>* side = &spec.prefix;
  for (const TemplatePart& piece : read_parts(spec, part, "single", where)) {
    if (piece.kind == TemplatePart::Kind::token) {
      side->push_back(piece.id);
    } else {
      side = &spec.suffix;
    }
  }
  spec.pair = read_parts(spec, part, "pair", where);
}

/// BERT: [CLS] A [SEP] B [SEP], the last two of type 1; RoBERTa: <s> A </s></s> B </s>, all of type 0.
std::vector<TemplatePart> pair_of(int64_t begin, int64_t end, bool roberta) {
  using enum TemplatePart::Kind;
  std::vector<TemplatePart> parts{{token, begin}, {first_text}, {token, end}};
  if (roberta) parts.push_back({token, end});
  const int64_t type = roberta ? 0 : 1;
  parts.push_back({second_text, 0, type});
  parts.push_back({token, end, type});
  return parts;
}

void read_post_processor(TokenizerSpec& spec, const json& part, const std::string& where) {
  const std::string type = type_of_part(part);
  if (part.is_null() || type == "ByteLevel") return;
  if (type == "Sequence") {
    for (const json& step : part.at("processors")) read_post_processor(spec, step, where);
  } else if (type == "TemplateProcessing") {
    read_template(spec, part, where);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    const auto id = [&](const char* key) {
      return read_id(part.at(key).at(1), spec.vocabulary.size() + spec.added.size(), key, where);
    };
    spec.prefix.push_back(id("cls"));
    spec.suffix.push_back(id("sep"));
    spec.pair = pair_of(id("cls"), id("sep"), type == "RobertaProcessing");
  } else {
    unsupported_part(where, "post-processor", part);
  }
}

/// Ids as the reference assigns them: the model's if it has the text, else numbered after the model's; those
/// in the file are ignored. If a text is listed twice, the later options count.
void read_added(TokenizerSpec& spec, const json& tokens, int64_t next, const std::string& where) {
  std::unordered_map<std::string_view, int64_t> plain;
  for (size_t id = 0; id < spec.vocabulary.size(); ++id)
    plain.emplace(spec.vocabulary[id], static_cast<int64_t>(id));
  std::unordered_map<std::string, size_t> known;
  for (const json& token : tokens) {
    const auto content = token.at("content").get<std::string>();
    read_id(token.at("id"), spec.vocabulary.size() + tokens.size(), content, where);
    if (content.empty()) continue;
    const bool special = token.value("special", false);
    AddedToken added{content,
                     0,
                     special,
                     token.value("single_word", false),
                     token.value("lstrip", false),
                     token.value("rstrip", false),
                     token.value("normalized", !special)};
    const auto [place, is_new] = known.try_emplace(content, spec.added.size());
    const auto found = plain.find(content);
    if (is_new) {
      added.id = found != plain.end() ? found->second : next++;
      spec.added.push_back(std::move(added));
    } else {
      added.id = spec.added[place->second].id;
      spec.added[place->second] = std::move(added);
    }
  }
}

/// Invalid ids around every text would only be noticed by the model, or not at all.
void check_template(const TokenizerSpec& spec, const std::string& where) {
  std::vector<int64_t> ids = spec.prefix;
  ids.insert(ids.end(), spec.suffix.begin(), spec.suffix.end());
  for (const TemplatePart& part : spec.pair) {
    if (part.kind == TemplatePart::Kind::token) ids.push_back(part.id);
  }
  for (const int64_t id : ids) {
    check(spec.has_token(id), ErrorKind::corrupt,
          "{}: the post-processor puts {} around texts, which is the id of no token", where, id);
  }
}

void read_tokenizer(TokenizerSpec& spec, const json& file, const std::string& where) {
  read_model(spec, file.at("model"), where);
  read_added(spec, file.value("added_tokens", json::array()),
             static_cast<int64_t>(file.at("model").at("vocab").size()), where);
  spec.normalizer = read_normalizer(file.value("normalizer", json()), where);
  spec.pre_tokenizer = read_pre_tokenizer(file.value("pre_tokenizer", json()), where);
  read_post_processor(spec, file.value("post_processor", json()), where);
  spec.decoder = read_decoder(file.value("decoder", json()), where);
  check_template(spec, where);
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
