#include "cli/file_value.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <fmt/ranges.h>

#include "base/json.h"

namespace lowrank {
namespace {

using Json = nlohmann::json;

/// Plain names as comma-separated text; a list with anything else in it stays, and the field refuses it.
Json joined_names(const Json& value) {
  std::vector<std::string> names;
  for (const Json& name : value) {
    const bool plain =
        name.is_string() && name.get<std::string>().find_first_of("\\()[]*+?|^$,") == std::string::npos;
    if (!plain) return value;
    names.push_back(name.get<std::string>());
  }
  return fmt::format("{}", fmt::join(names, ","));
}

/// `typed`: texts that would be read as other values are written in JSON's quotes.
std::string assignment(const std::string& key, const Json& value, bool typed) {
  if (!value.is_string()) return key + "=" + json_text(value);
  const auto& text = value.get_ref<const std::string&>();
  const bool other = Json::accept(text) || text == "True" || text == "False" || text == "None";
  return key + "=" + (typed && other ? json_text(value) : text);
}

/// The entries of a map, or of the list of pairs as which read_yaml gives one of numbers; nothing for other
/// values.
std::optional<Json> assignments(const Json& value, bool typed) {
  Json list = Json::array();
  if (value.is_object()) {
    for (const auto& [key, entry] : value.items()) list.push_back(assignment(key, entry, typed));
    return list;
  }
  const auto is_pair = [](const Json& entry) {
    return entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_number();
  };
  if (!value.is_array() || value.empty() || !std::ranges::all_of(value, is_pair)) return std::nullopt;
  for (const Json& pair : value) list.push_back(assignment(pair[0].get<std::string>(), pair[1], typed));
  return list;
}

}  // namespace

Json fitting(const Field& field, const Json& value) {
  if (field.type_name == "text" && field.name.ends_with("_modules") && value.is_array())
    return joined_names(value);
  if (!field.type_name.starts_with("list of") || value.is_null()) return value;
  if (field.type_name.starts_with("list of text")) {
    if (const auto list = assignments(value, field.name.ends_with("_kwargs"))) return *list;
  }
  if (value.is_structured()) return value;
  return value.is_string() ? field.parse(value.get<std::string>()) : Json::array({value});
}

}  // namespace lowrank
