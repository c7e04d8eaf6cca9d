#include "base/fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"

namespace lowrank {
namespace {

using Json = nlohmann::json;

/// A value as an error shows it: JSON, cut to one readable line. Deeper values are only named, since a file
/// may nest them deeper than the stack allows.
std::string shown(const Json& value) {
  if (value.is_structured() &&
      std::ranges::any_of(value, [](const Json& entry) { return entry.is_structured(); }))
    return value.is_array() ? "a nested list" : "a nested object";
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() <= 80) return text;
  size_t end = 77;
  while (end > 0 && (text[end] & 0xC0) == 0x80) --end;  // between two UTF-8 characters
  return text.substr(0, end) + "...";
}

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

/// The JSON that `text` is when it is one of that kind; lists of names with commas or brackets inside need
/// it.
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

/// Conversion of one type. `read` gives nothing for a value of another type; `parse` gives the text itself,
/// as a JSON string, where it is no such value, so that `read` refuses it with the text in the error.
template <class T>
struct Conversion;

template <>
struct Conversion<bool> {
  static constexpr std::string_view name = "true or false";
  static std::optional<bool> read(const Json& value) {
    return value.is_boolean() ? std::optional(value.get<bool>()) : std::nullopt;
  }
  static Json parse(std::string_view text) {
    if (text == "true" || text == "false") return text == "true";
    return std::string(text);
  }
};

template <>
struct Conversion<int64_t> {
  static constexpr std::string_view name = "integer";
  static std::optional<int64_t> read(const Json& value) {
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
  static Json parse(std::string_view text) { return parsed_number<int64_t>(text); }
};

template <>
struct Conversion<double> {
  static constexpr std::string_view name = "number";
  static std::optional<double> read(const Json& value) {
    if (!value.is_number()) return std::nullopt;
    const double number = value.get<double>();
    return std::isfinite(number) ? std::optional(number) : std::nullopt;
  }
  static Json parse(std::string_view text) { return parsed_number<double>(text); }
};

template <>
struct Conversion<std::string> {
  static constexpr std::string_view name = "text";
  static std::optional<std::string> read(const Json& value) {
    return value.is_string() ? std::optional(value.get<std::string>()) : std::nullopt;
  }
  static Json parse(std::string_view text) { return std::string(text); }
};

template <class Element>
struct Conversion<std::vector<Element>> {
  static constexpr std::string_view name =
      std::is_same_v<Element, std::string> ? "list of text" : "list of integers";
  static std::optional<std::vector<Element>> read(const Json& value) {
    if (!value.is_array()) return std::nullopt;
    std::vector<Element> list;
    for (const Json& entry : value) {
      std::optional<Element> element = Conversion<Element>::read(entry);
      if (!element) return std::nullopt;
      list.push_back(std::move(*element));
    }
    return list;
  }
  static Json parse(std::string_view text) {
    if (std::optional<Json> json = as_json(text, '[')) return *json;
    Json list = Json::array();
    for (std::string_view part : split(text)) {
      if (part.empty()) return std::string(text);
      list.push_back(Conversion<Element>::parse(part));
    }
    return list;
  }
};

template <>
struct Conversion<std::map<std::string, double>> {
  static constexpr std::string_view name = "map of name to number";
  static std::optional<std::map<std::string, double>> read(const Json& value) {
    if (!value.is_object()) return std::nullopt;
    std::map<std::string, double> map;
    for (const auto& [key, entry] : value.items()) {
      const std::optional<double> number = Conversion<double>::read(entry);
      if (!number) return std::nullopt;
      map[key] = *number;
    }
    return map;
  }
  static Json parse(std::string_view text) {
    if (std::optional<Json> json = as_json(text, '{')) return *json;
    Json map = Json::object();
    for (std::string_view part : split(text)) {
      const size_t equals = part.rfind('=');
      if (equals == std::string_view::npos || equals == 0) return std::string(text);
      if (!map.emplace(std::string(part.substr(0, equals)),
                       Conversion<double>::parse(part.substr(equals + 1)))
               .second)
        return std::string(text);
    }
    return map;
  }
};

template <class T>
struct Conversion<std::optional<T>> {
  static constexpr std::string_view name = Conversion<T>::name;
  static std::optional<std::optional<T>> read(const Json& value) {
    if (value.is_null()) return std::optional<T>();
    std::optional<T> inner = Conversion<T>::read(value);
    if (!inner) return std::nullopt;
    return inner;
  }
  static Json parse(std::string_view text) { return text == "none" ? Json() : Conversion<T>::parse(text); }
};

template <class T>
Json to_json(const T& value) {
  return value;
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
/// judged here.
bool within(const Json& value, double low, double high) {
  const auto inside = [&](const Json& entry) {
    return !entry.is_number() || (entry.get<double>() >= low && entry.get<double>() <= high);
  };
  return value.is_structured() ? std::ranges::all_of(value, inside) : inside(value);
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
template Field field(std::string, std::map<std::string, double>&, std::string);
template Field field(std::string, std::optional<bool>&, std::string);
template Field field(std::string, std::optional<int64_t>&, std::string);
template Field field(std::string, std::optional<double>&, std::string);
template Field field(std::string, std::optional<std::string>&, std::string);
template Field field(std::string, std::optional<std::vector<std::string>>&, std::string);
template Field field(std::string, std::optional<std::vector<int64_t>>&, std::string);
template Field field(std::string, std::optional<std::map<std::string, double>>&, std::string);

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
