#include "tokenizer/chat/template_files.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mmap_file.h"
#include "base/one_line.h"
#include "formats/gguf.h"
#include "formats/model_folder.h"
#include "tokenizer/core/byte_level.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int64_t max_template_bytes = 1 << 20;
constexpr size_t max_templates = 100;
constexpr int64_t max_json_bytes = 64 << 20;
constexpr const char* default_name = "default";
constexpr const char* tools_name = "tool_use";
constexpr const char* more_folder = "additional_chat_templates";
constexpr const char* suffix = ".jinja";
constexpr std::array special_names{"bos_token", "eos_token", "unk_token", "sep_token",
                                   "pad_token", "cls_token", "mask_token"};

/// Adds a template unless the name is taken: the first place of a name counts.
void add(StoredTemplates& stored, std::string name, std::string_view source, std::string where) {
  check(std::ssize(source) <= max_template_bytes, ErrorKind::invalid,
        "{}: a chat template of {} bytes is larger than the {} allowed", where, source.size(),
        max_template_bytes);
  const auto malformed = first_malformed(source);
  check(!malformed, ErrorKind::invalid, "{}: the chat template is not UTF-8 at byte {}", where,
        malformed.value_or(0));
  const auto same = [&](const StoredTemplate& one) { return one.name == name; };
  if (std::ranges::any_of(stored.templates, same)) return;
  check(stored.templates.size() < max_templates, ErrorKind::invalid, "{}: more than {} chat templates", where,
        max_templates);
  stored.templates.push_back({std::move(name), std::string(source), std::move(where)});
}

void add_file(StoredTemplates& stored, std::string name, const fs::path& path) {
  const MmapFile file = MmapFile::open(path);
  add(stored, std::move(name), {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()},
      path.string());
}

/// The file of a folder; nothing if there is none.
std::optional<fs::path> own_file(const fs::path& folder, const fs::path& name) {
  if (!fs::exists(folder / name)) return std::nullopt;
  const auto path = file_in_model(folder, name);
  check(path.has_value(), ErrorKind::invalid, "{}: the link leads out of the folder",
        (folder / name).string());
  return folder / name;
}

/// The object in a file of a folder; an empty one if there is no file.
json own_object(const fs::path& folder, const fs::path& name) {
  const auto path = own_file(folder, name);
  if (!path) return json::object();
  json object = read_json_file(*path, max_json_bytes);
  check(object.is_object(), ErrorKind::corrupt, "{}: not a JSON object", path->string());
  return object;
}

/// chat_template.jinja and additional_chat_templates/.
void add_jinja_files(StoredTemplates& stored, const fs::path& folder) {
  if (const auto path = own_file(folder, "chat_template.jinja")) add_file(stored, default_name, *path);
  if (!fs::is_directory(folder / more_folder)) return;
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder / more_folder)) {
    const bool is_one = entry.path().extension() == suffix && entry.path().stem() != "";
    if (is_one) names.push_back(entry.path().stem().string());
    check(names.size() <= max_templates, ErrorKind::invalid, "{}: more than {} chat templates",
          (folder / more_folder).string(), max_templates);
  }
  std::ranges::sort(names);
  for (const std::string& name : names) {
    if (const auto path = own_file(folder, fs::path(more_folder) / (name + suffix)))
      add_file(stored, name, *path);
  }
}

/// The value of a key `chat_template`.
void add_value(StoredTemplates& stored, const json& value, const std::string& where) {
  if (value.is_null()) return;
  if (value.is_string())
    return add(stored, default_name, value.get_ref<const std::string&>(), where + ": chat_template");
  const auto is_named = [](const json& one) {
    return one.is_object() && one.contains("name") && one["name"].is_string() && one.contains("template") &&
           one["template"].is_string();
  };
  check(value.is_array() && std::ranges::all_of(value, is_named), ErrorKind::corrupt,
        "{}: chat_template is neither a text nor a list of objects with \"name\" and \"template\"", where);
  for (const json& one : value) {
    const auto& name = one["name"].get_ref<const std::string&>();
    add(stored, name, one["template"].get_ref<const std::string&>(),
        fmt::format("{}: chat_template {}", where, in_quotes(name)));
  }
}

/// A special token's text: alone, or in an object with options.
void add_token(StoredTemplates& stored, const std::string& name, const json& named) {
  const json& text = named.is_object() && named.contains("content") ? named["content"] : named;
  if (text.is_string()) stored.special_tokens.try_emplace(name, text.get<std::string>());
}

StoredTemplates read_folder(const fs::path& folder) {
  StoredTemplates stored{{}, {}, folder.string()};
  const json config = own_object(folder, "tokenizer_config.json");
  add_jinja_files(stored, folder);
  if (stored.templates.empty())
    add_value(stored, config.value("chat_template", json()), (folder / "tokenizer_config.json").string());
  if (stored.templates.empty())
    add_value(stored, own_object(folder, "chat_template.json").value("chat_template", json()),
              (folder / "chat_template.json").string());
  const json map = own_object(folder, "special_tokens_map.json");
  for (const json* source : {&config, &map}) {
    for (const char* name : special_names) add_token(stored, name, source->value(name, json()));
    for (const char* key : {"extra_special_tokens", "model_specific_special_tokens"}) {
      const json more = source->value(key, json());
      if (!more.is_object()) continue;
      for (const auto& [name, token] : more.items()) add_token(stored, name, token);
    }
  }
  return stored;
}

std::string text_of(const TokenizerSpec& tokens, int64_t id) {
  const auto added = std::ranges::find(tokens.added, id, &AddedToken::id);
  return added != tokens.added.end() ? added->content : tokens.vocabulary.at(id);
}

StoredTemplates read_gguf(const fs::path& path, const TokenizerSpec& tokens) {
  StoredTemplates stored{{}, {}, path.string()};
  const GgufFile file = GgufFile::open(path);
  const std::string key = "tokenizer.chat_template", prefix = key + ".";
  if (const auto source = file.find<std::string>(key))
    add(stored, default_name, *source, fmt::format("{}: {}", path.string(), key));
  for (const GgufEntry& entry : file.metadata_entries()) {
    if (!entry.key.starts_with(prefix)) continue;
    if (const auto source = file.find<std::string>(entry.key))
      add(stored, std::string(entry.key.substr(prefix.size())), *source,
          fmt::format("{}: {}", path.string(), entry.key));
  }
  const auto set = [&](const char* name, const std::optional<int64_t>& id) {
    if (id) stored.special_tokens[name] = text_of(tokens, *id);
  };
  set("bos_token", tokens.bos);
  set("eos_token", tokens.eos);
  set("pad_token", tokens.pad);
  set("unk_token", tokens.unknown);
  return stored;
}

std::string names_of(const StoredTemplates& stored) {
  std::vector<std::string> names;
  for (const StoredTemplate& one : stored.templates) names.push_back(in_quotes(one.name));
  return fmt::format("{}", fmt::join(names, ", "));
}

const StoredTemplate* find(const StoredTemplates& stored, std::string_view name) {
  const auto found = std::ranges::find(stored.templates, name, &StoredTemplate::name);
  return found == stored.templates.end() ? nullptr : &*found;
}

}  // namespace

StoredTemplates read_chat_templates(const fs::path& place, const TokenizerSpec& tokens) {
  return fs::is_directory(place) ? read_folder(place) : read_gguf(place, tokens);
}

StoredTemplates chat_templates_with_adapter(const fs::path& adapter, StoredTemplates of_model) {
  if (!fs::is_directory(adapter)) return of_model;
  StoredTemplates own = read_folder(adapter);
  if (own.templates.empty()) return of_model;
  own.special_tokens.merge(of_model.special_tokens);
  return own;
}

std::optional<StoredTemplate> choose_template(const StoredTemplates& stored, const std::string& wanted,
                                              bool has_tools) {
  if (!wanted.empty()) {
    std::error_code unreadable;
    if (fs::is_regular_file(wanted, unreadable)) {
      StoredTemplates file;
      add_file(file, wanted, wanted);
      return file.templates.front();
    }
    const StoredTemplate* named = find(stored, wanted);
    check(named != nullptr, ErrorKind::not_found,
          "`chat_template` {} is neither a file nor a template of {}, {}", in_quotes(wanted), stored.where,
          stored.templates.empty() ? "which has none" : "which has " + names_of(stored));
    return *named;
  }
  const StoredTemplate* for_tools = has_tools ? find(stored, tools_name) : nullptr;
  const StoredTemplate* chosen = for_tools ? for_tools : find(stored, default_name);
  if (chosen) return *chosen;
  check(stored.templates.empty(), ErrorKind::invalid,
        "{}: none of the chat templates is the default; name one with `chat_template`: {}", stored.where,
        names_of(stored));
  return std::nullopt;
}

}  // namespace lowrank
