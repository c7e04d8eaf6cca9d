#include "data/conversations/json_values.h"

#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/one_line.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

/// As for a whole row: what a string holds is as deep at most, and its keys are searched one by one.
constexpr JsonLimits limits{.depth = 32, .keys = 1000};

}  // namespace

Json with_numbers(Json value) {
  if (value.is_structured()) {
    for (Json& member : value) member = with_numbers(std::move(member));
  } else if (value.is_binary()) {
    const std::string text(value.get_binary().begin(), value.get_binary().end());
    if (text.find_first_of(".eE") != std::string::npos) return Json::parse(text);
  }
  return value;
}

Json opened(const Json& value, const std::string& what, std::string_view wanted) {
  if (!value.is_string()) return with_numbers(value);
  const auto& text = value.get_ref<const std::string&>();
  if (text.empty()) return nullptr;
  const size_t first = text.find_first_not_of(" \t\r\n");
  const bool structured = first != std::string::npos && (text[first] == '[' || text[first] == '{');
  try {
    return with_numbers(parse_ordered_json(text, what, limits));
  } catch (const Error&) {
    if (structured) throw;
    fail(ErrorKind::invalid, "{} must be {}, or one as a string of JSON, not the text {}", what, wanted,
         in_quotes(text, 40));
  }
}

Json object_in(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{') return nullptr;
  try {
    return with_numbers(parse_ordered_json(text, "text", limits));
  } catch (const Error&) {
    return nullptr;
  }
}

std::string type_of(const Json& value) {
  return value.is_binary() ? "number" : value.type_name();
}

}  // namespace lowrank
