#include "base/field_conversion.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

namespace lowrank {
namespace {

using Json = nlohmann::json;
using NamedNumbers = std::vector<std::pair<std::string, double>>;

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  if (text.empty()) return parts;
  for (;;) {
    const size_t comma = text.find(',');
    parts.push_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

/// `text` parsed as JSON if it is JSON that begins with `opening`; needed for lists of names that contain
/// commas or brackets.
std::optional<Json> as_json(std::string_view text, char opening) {
  if (text.empty() || text.front() != opening) return std::nullopt;
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return std::nullopt;
  return value;
}

template <class Number>
Json parsed_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::string(text);
  return value;
}

}  // namespace

std::optional<bool> Conversion<bool>::read(const Json& value) {
  return value.is_boolean() ? std::optional(value.get<bool>()) : std::nullopt;
}

Json Conversion<bool>::parse(std::string_view text) {
  if (text == "true" || text == "false") return text == "true";
  return std::string(text);
}

std::optional<int64_t> Conversion<int64_t>::read(const Json& value) {
  if (value.is_number_unsigned()) {
    const uint64_t number = value.get<uint64_t>();
    return number <= std::numeric_limits<int64_t>::max() ? std::optional<int64_t>(number) : std::nullopt;
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  // Beyond 2^53 a double no longer says which integer was meant.
  const double number = value.get<double>();
  if (std::abs(number) > 9007199254740992.0 || std::trunc(number) != number) return std::nullopt;
  return static_cast<int64_t>(number);
}

Json Conversion<int64_t>::parse(std::string_view text) {
  return parsed_number<int64_t>(text);
}

std::optional<double> Conversion<double>::read(const Json& value) {
  if (!value.is_number()) return std::nullopt;
  const double number = value.get<double>();
  return std::isfinite(number) ? std::optional(number) : std::nullopt;
}

Json Conversion<double>::parse(std::string_view text) {
  return parsed_number<double>(text);
}

std::optional<std::string> Conversion<std::string>::read(const Json& value) {
  return value.is_string() ? std::optional(value.get<std::string>()) : std::nullopt;
}

Json Conversion<std::string>::parse(std::string_view text) {
  return std::string(text);
}

template <class Element>
std::optional<std::vector<Element>> Conversion<std::vector<Element>>::read(const Json& value) {
  if (!value.is_array()) return std::nullopt;
  std::vector<Element> list;
  for (const Json& entry : value) {
    std::optional<Element> element = Conversion<Element>::read(entry);
    if (!element) return std::nullopt;
    list.push_back(std::move(*element));
  }
  return list;
}

template <class Element>
Json Conversion<std::vector<Element>>::parse(std::string_view text) {
  if (std::optional<Json> json = as_json(text, '[')) return *json;
  Json list = Json::array();
  for (std::string_view part : split(text)) {
    if (part.empty()) return std::string(text);
    list.push_back(Conversion<Element>::parse(part));
  }
  return list;
}

std::optional<NamedNumbers> Conversion<NamedNumbers>::read(const Json& value) {
  NamedNumbers numbers;
  const auto add = [&](const std::string& key, const Json& entry) {
    const std::optional<double> number = Conversion<double>::read(entry);
    if (number) numbers.emplace_back(key, *number);
    return number.has_value();
  };
  if (value.is_object()) {
    for (const auto& [key, entry] : value.items()) {
      if (!add(key, entry)) return std::nullopt;
    }
    return numbers;
  }
  if (!value.is_array() || value.empty()) return std::nullopt;
  for (const Json& pair : value) {
    const bool is_pair = pair.is_array() && pair.size() == 2 && pair[0].is_string();
    if (!is_pair || !add(pair[0].get<std::string>(), pair[1])) return std::nullopt;
  }
  return numbers;
}

Json Conversion<NamedNumbers>::parse(std::string_view text) {
  std::vector<std::pair<std::string, Json>> entries;
  if (text.starts_with('{')) {
    const auto object = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!object.is_object()) return std::string(text);
    for (const auto& [key, value] : object.items()) entries.emplace_back(key, Json(value));
  } else {
    for (std::string_view part : split(text)) {
      const size_t equals = part.rfind('=');
      if (equals == std::string_view::npos || equals == 0) return std::string(text);
      entries.emplace_back(part.substr(0, equals), Conversion<double>::parse(part.substr(equals + 1)));
    }
  }
  Json object = Json::object(), pairs = Json::array();
  bool sorted = true;
  for (const auto& [key, value] : entries) {
    sorted &= object.empty() || object.rbegin().key() < key;
    if (!object.emplace(key, value).second) return std::string(text);
    pairs.push_back(Json::array({key, value}));
  }
  return sorted ? object : pairs;
}

template struct Conversion<std::vector<std::string>>;
template struct Conversion<std::vector<int64_t>>;
template struct Conversion<std::vector<double>>;

}  // namespace lowrank
