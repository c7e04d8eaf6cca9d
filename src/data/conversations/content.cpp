#include "data/conversations/content.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "base/one_line.h"
#include "data/conversations/json_values.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t longest_sought = 4096;  // a search takes the product of both lengths
constexpr std::array<std::string_view, 3> text_types{"text", "input_text", "output_text"};
constexpr std::array<std::string_view, 3> thought_types{"thinking", "reasoning", "reasoning_text"};

/// The type of a part; `text` if it has none but a text.
std::string type_of_part(const Json& part, const std::string& where) {
  const auto type = part.find("type");
  if (type != part.end() && !type->is_null()) {
    check(type->is_string(), ErrorKind::invalid, "{}: \"type\" must be a string, not {}", where,
          type_of(*type));
    return type->get<std::string>();
  }
  for (const auto& [key, value] : part.items()) {
    if (key != "text" && !value.is_null()) return key;
  }
  return "text";
}

Json read_part(const Json& part, const std::string& where) {
  check(
      part.is_object(), ErrorKind::invalid,
      "{}: a part of the content must be an object such as {{\"type\": \"text\", \"text\": \"...\"}}, not {}",
      where, type_of(part));
  const std::string type = type_of_part(part, where);
  check(std::ranges::find(thought_types, type) == thought_types.end(), ErrorKind::unsupported,
        "{}: parts of type {} are not read; put the reasoning into \"reasoning_content\" of the message",
        where, in_quotes(type));
  check(std::ranges::find(text_types, type) != text_types.end(), ErrorKind::unsupported,
        "{}: parts of type {} are not supported; only text is", where, in_quotes(type, 40));
  const auto text = part.find("text");
  check(text != part.end() && text->is_string(), ErrorKind::invalid, "{}: \"text\" must be a string, not {}",
        where, text == part.end() ? "missing" : type_of(*text));
  for (const auto& [key, value] : part.items()) {
    const bool known = key == "type" || key == "text" || key == "cache_control" || key == "annotations";
    const bool filled = !value.is_null() && !(value.is_structured() && value.empty());
    check(known || !filled, ErrorKind::unsupported,
          "{}: {} beside a part's text is not read; leave it out, or give it a part of its own", where,
          in_quotes(key, 40));
  }
  return {{"type", "text"}, {"text", *text}};
}

}  // namespace

Json message_content(const Json& content, const std::string& where) {
  if (content.is_string()) return content;
  check(content.is_array(), ErrorKind::invalid,
        "{}: the content must be a string or a list of parts, not {}{}", where, type_of(content),
        content.is_object() ? " (write an object as a string of JSON)" : "");
  Json parts = Json::array();
  for (size_t i = 0; i < content.size(); ++i)
    parts.push_back(read_part(content[i], fmt::format("{}, part {}", where, i + 1)));
  return parts.empty() ? Json("") : parts;
}

bool is_empty_content(const Json& content) {
  if (content.is_string()) return content.get_ref<const std::string&>().empty();
  return std::ranges::all_of(
      content, [](const Json& part) { return part.at("text").get_ref<const std::string&>().empty(); });
}

bool content_holds(const Json& content, const std::string& text) {
  if (content.is_array()) {
    return std::ranges::any_of(content,
                               [&](const Json& part) { return content_holds(part.at("text"), text); });
  }
  const auto& whole = content.get_ref<const std::string&>();
  if (text.size() > longest_sought) return whole == text;
  return whole.find(text) != std::string::npos;
}

}  // namespace lowrank
