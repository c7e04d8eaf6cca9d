#include "tokenizer/files/special_tokens.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "base/json.h"
#include "base/mmap_file.h"

namespace lowrank {
namespace {

using nlohmann::json;

constexpr int64_t max_file_bytes = 64 << 20;

/// The object in a file; an empty one if there is no file.
json optional_object(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return json::object();
  json object = read_json_file(path, max_file_bytes);
  check(object.is_object(), ErrorKind::corrupt, "{}: not a JSON object", path.string());
  return object;
}

/// Adds special tokens that files name by their text.
class Names {
 public:
  explicit Names(TokenizerSpec& spec) : spec_(spec) {
    next_ = std::ssize(spec.vocabulary);
    for (size_t id = 0; id < spec.vocabulary.size(); ++id) plain_.emplace(spec.vocabulary[id], id);
    for (size_t i = 0; i < spec.added.size(); ++i) {
      added_.emplace(spec.added[i].content, i);
      next_ = std::max(next_, spec.added[i].id + 1);
    }
  }

  /// Adds the token that a file names by its text, alone or in an object with options, as a special token.
  /// Returns its id; nothing if no token is named.
  std::optional<int64_t> add(const json& named) {
    const json& text = named.is_object() && named.contains("content") ? named["content"] : named;
    if (!text.is_string() || text.get_ref<const std::string&>().empty()) return std::nullopt;
    AddedToken token;
    token.content = text.get<std::string>();
    token.special = true;
    if (const auto added = added_.find(token.content); added != added_.end()) {
      spec_.added[added->second].special = true;
      return spec_.added[added->second].id;
    }
    const auto plain = plain_.find(token.content);
    token.id = plain != plain_.end() ? static_cast<int64_t>(plain->second) : next_;
    next_ = std::max(next_, token.id + 1);
    if (named.is_object()) {
      token.lstrip = named.value("lstrip", false);
      token.rstrip = named.value("rstrip", false);
      token.single_word = named.value("single_word", false);
      token.normalized = named.value("normalized", false);
    }
    added_.emplace(token.content, spec_.added.size());
    spec_.added.push_back(std::move(token));
    return spec_.added.back().id;
  }

 private:
  TokenizerSpec& spec_;
  std::unordered_map<std::string_view, size_t> plain_;  ///< ids
  std::unordered_map<std::string, size_t> added_;       ///< indices
  int64_t next_;
};

void read_names(TokenizerSpec& spec, const json& config, const json& map) {
  Names names(spec);
  const auto named = [&](const char* key) {
    const json value = config.value(key, json());
    return names.add(value.is_null() ? map.value(key, json()) : value);
  };
  spec.bos = named("bos_token");
  spec.eos = named("eos_token");
  named("unk_token");
  spec.pad = named("pad_token");
  for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
    const json more = config.value(key, json());
    for (const json& token : more.is_array() ? more : json::array()) names.add(token);
  }
}

/// `eos_token_id` of a file: a number or a list of them. Ids that are not tokens are left out.
std::vector<int64_t> end_ids(TokenizerSpec& spec, const std::filesystem::path& path) {
  json ids = optional_object(path).value("eos_token_id", json());
  if (ids.is_null()) return {};
  if (!ids.is_array()) ids = json::array({ids});
  std::vector<int64_t> ends;
  for (const json& id : ids) {
    check(id.is_number_integer() && id >= 0 && id < (int64_t{1} << 31), ErrorKind::invalid,
          "{}: eos_token_id must be token ids, not {}", path.string(), id.dump().substr(0, 100));
    if (spec.has_token(id.get<int64_t>())) {
      ends.push_back(id.get<int64_t>());
    } else {
      spec.notes.push_back(
          fmt::format("{}: eos_token_id {} is left out, since the tokenizer has no such token", path.string(),
                      id.dump()));
    }
  }
  return ends;
}

void read_chat_template(TokenizerSpec& spec, const json& config, const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "chat_template.jinja";
  const json chat = config.value("chat_template", json());
  if (chat.is_string()) spec.chat_template = chat.get<std::string>();
  if (!std::filesystem::exists(path)) return;
  const MmapFile file = MmapFile::open(path);
  spec.chat_template.assign(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
}

}  // namespace

void read_special_tokens(TokenizerSpec& spec, const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "tokenizer_config.json";
  const json config = optional_object(path);
  try {
    read_names(spec, config, optional_object(folder / "special_tokens_map.json"));
  } catch (const json::exception& error) {
    fail(ErrorKind::corrupt, "{}: a special token is not laid out as one ({})", path.string(), error.what());
  }
  read_chat_template(spec, config, folder);
  spec.end_tokens = end_ids(spec, folder / "generation_config.json");
  if (spec.end_tokens.empty()) spec.end_tokens = end_ids(spec, folder / "config.json");
  if (!spec.eos && !spec.end_tokens.empty()) spec.eos = spec.end_tokens.front();
  const auto known = spec.eos ? std::ranges::find(spec.end_tokens, *spec.eos) : spec.end_tokens.end();
  if (spec.eos && known == spec.end_tokens.end()) spec.end_tokens.push_back(*spec.eos);
}

}  // namespace lowrank
