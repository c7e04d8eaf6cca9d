#include "base/fields.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/field_conversion.h"
#include "base/json.h"

namespace lowrank {
namespace {

using Json = nlohmann::json;

constexpr std::string_view any_text_type = "any text";
constexpr std::string_view repeatable_type = "list of text, one each time";
constexpr std::string_view optional_text_type = "text, or nothing";

/// A value as errors show it: JSON, cut to one readable line. Nested values are only named, since a file may
/// nest them deeper than the stack allows.
std::string shown(const Json& value) {
  if (value.is_structured() &&
      std::ranges::any_of(value, [](const Json& entry) { return entry.is_structured(); }))
    return value.is_array() ? "a nested list" : "a nested object";
  std::string text = json_text(value);
  if (text.size() <= 80) return text;
  size_t end = 77;
  while (end > 0 && (text[end] & 0xC0) == 0x80) --end;  // between two UTF-8 characters
  return text.substr(0, end) + "...";
}

template <class T>
Json to_json(const T& value) {
  return value;
}
/// As an object, unless that would change the order.
Json to_json(const std::vector<std::pair<std::string, double>>& numbers) {
  if (!std::ranges::is_sorted(numbers, {}, &std::pair<std::string, double>::first)) return Json(numbers);
  Json object = Json::object();
  for (const auto& [name, number] : numbers) object[name] = number;
  return object;
}
template <class T>
Json to_json(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

std::string article(std::string_view type) {
  if (type == "text" || type.starts_with("true")) return std::string(type);
  return (type == "integer" ? "an " : "a ") + std::string(type);
}

/// Whether a number, or every number directly in a list or a map, lies in [low, high]. Other values are not
/// checked here.
bool within(const Json& value, double low, double high) {
  const auto inside = [&](const Json& entry) {
    return !entry.is_number() || (entry.get<double>() >= low && entry.get<double>() <= high);
  };
  const auto pair_inside = [&](const Json& entry) {
    return entry.is_array() && entry.size() == 2 ? inside(entry[1]) : inside(entry);
  };
  return value.is_structured() ? std::ranges::all_of(value, pair_inside) : inside(value);
}

std::string range_words(double low, double high) {
  if (std::isinf(high)) return fmt::format("at least {}", low);
  if (std::isinf(low)) return fmt::format("at most {}", high);
  return fmt::format("between {} and {}", low, high);
}

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](char x, char y) { return x == y || (x == '-' && y == '_') || (x == '_' && y == '-'); });
}

}  // namespace

template <class T>
Field field(std::string name, T& value, std::string help) {
  auto set = [name, &value](const Json& json) {
    std::optional<T> read = Conversion<T>::read(json);
    if (!read)
      fail(ErrorKind::invalid, "{} must be {}, not {}", name, article(Conversion<T>::name), shown(json));
    value = std::move(*read);
  };
  return Field{std::move(name),
               std::move(help),
               [&value] { return to_json(value); },
               std::move(set),
               std::string(Conversion<T>::name),
               &Conversion<T>::parse};
}

template Field field(std::string, bool&, std::string);
template Field field(std::string, int64_t&, std::string);
template Field field(std::string, double&, std::string);
template Field field(std::string, std::string&, std::string);
template Field field(std::string, std::vector<std::string>&, std::string);
template Field field(std::string, std::vector<int64_t>&, std::string);
template Field field(std::string, std::vector<double>&, std::string);
template Field field(std::string, std::vector<std::pair<std::string, double>>&, std::string);
template Field field(std::string, std::optional<bool>&, std::string);
template Field field(std::string, std::optional<int64_t>&, std::string);
template Field field(std::string, std::optional<double>&, std::string);
template Field field(std::string, std::optional<std::string>&, std::string);
template Field field(std::string, std::optional<std::vector<std::string>>&, std::string);
template Field field(std::string, std::optional<std::vector<int64_t>>&, std::string);

Field limited(Field field, double low, double high) {
  field.set = [inner = std::move(field.set), name = field.name, low, high](const Json& value) {
    check(within(value, low, high), ErrorKind::invalid, "{} must be {}, not {}", name, range_words(low, high),
          shown(value));
    inner(value);
  };
  return field;
}

Field one_of(Field field, std::vector<std::string> choices) {
  field.type_name = fmt::format("{}", fmt::join(choices, "|"));
  field.set = [inner = std::move(field.set), name = field.name,
               choices = std::move(choices)](const Json& value) {
    if (value.is_string() && std::ranges::find(choices, value.get<std::string>()) == choices.end()) {
      const auto near = nearest_name(value.get<std::string>(), choices);
      fail(ErrorKind::invalid, "{} must be one of {}, not {}{}", name, fmt::join(choices, ", "), shown(value),
           near ? fmt::format(" (did you mean {}?)", *near) : "");
    }
    inner(value);
  };
  return field;
}

Field any_text(Field field) {
  field.type_name = any_text_type;
  return field;
}

Field optional_text(Field field, std::string value) {
  field.type_name = optional_text_type;
  field.parse = [value = std::move(value)](std::string_view text) {
    return nlohmann::json(text.empty() ? value : std::string(text));
  };
  return field;
}

Field repeatable(Field field) {
  field.type_name = repeatable_type;
  field.set = [inner = std::move(field.set)](const Json& value) {
    inner(value.is_string() ? Json::array({value}) : value);
  };
  field.parse = [](std::string_view text) { return nlohmann::json::array({text}); };
  return field;
}

bool is_any_text(const Field& field) {
  return field.type_name == any_text_type;
}

bool is_optional_text(const Field& field) {
  return field.type_name == optional_text_type;
}

bool is_repeatable(const Field& field) {
  return field.type_name == repeatable_type;
}

void set_text(const Field& field, std::string_view text) {
  field.set(field.parse(text));
}

void apply(std::span<const Field> fields, const nlohmann::json& object, std::string_view where) {
  check(object.is_object(), ErrorKind::invalid, "{}: must hold keys and values, not {}", where,
        shown(object));
  std::vector<std::string> names;
  for (const Field& field : fields) names.push_back(field.name);
  std::vector<std::string> problems;
  for (const auto& [key, value] : object.items()) {
    const auto known = std::ranges::find(fields, key, &Field::name);
    if (known == fields.end()) {
      const auto near = nearest_name(key, names);
      problems.push_back(
          fmt::format("unknown key {}{}", shown(key), near ? fmt::format(" (did you mean {}?)", *near) : ""));
      continue;
    }
    try {
      known->set(value);
    } catch (const Error& error) {
      problems.emplace_back(error.what());
    }
  }
  if (problems.empty()) return;
  throw Error(ErrorKind::invalid, fmt::format("{}: {}", where, fmt::join(problems, "; ")),
              fmt::format("known keys: {}", fmt::join(names, ", ")));
}

nlohmann::json resolved(std::span<const Field> fields) {
  Json object = Json::object();
  for (const Field& field : fields) object[field.name] = field.get();
  return object;
}

std::string flag_name(std::string_view name) {
  std::string flag = "--" + std::string(name);
  std::ranges::replace(flag, '_', '-');
  return flag;
}

const Field* find_field(std::span<const Field> fields, std::string_view name) {
  const auto found =
      std::ranges::find_if(fields, [&](const Field& field) { return same_name(field.name, name); });
  return found == fields.end() ? nullptr : &*found;
}

}  // namespace lowrank
