#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace lowrank {

/// Strict conversion between JSON, command-line text and the types that a field can have. `read` returns
/// nothing for a value of another type or out of the type's range; for text that is no such value, `parse`
/// returns the text itself as a JSON string, so that `read` rejects it and the error can show it.
template <class T>
struct Conversion;

template <>
struct Conversion<bool> {
  static constexpr std::string_view name = "true or false";
  static std::optional<bool> read(const nlohmann::json& value);
  static nlohmann::json parse(std::string_view text);
};

template <>
struct Conversion<int64_t> {
  static constexpr std::string_view name = "integer";
  static std::optional<int64_t> read(const nlohmann::json& value);
  static nlohmann::json parse(std::string_view text);
};

template <>
struct Conversion<double> {
  static constexpr std::string_view name = "number";
  static std::optional<double> read(const nlohmann::json& value);
  static nlohmann::json parse(std::string_view text);
};

template <>
struct Conversion<std::string> {
  static constexpr std::string_view name = "text";
  static std::optional<std::string> read(const nlohmann::json& value);
  static nlohmann::json parse(std::string_view text);
};

/// Lists of text, integers or numbers. As text: a,b or a JSON array (for entries with commas).
template <class Element>
struct Conversion<std::vector<Element>> {
  static constexpr std::string_view name = std::is_same_v<Element, std::string> ? "list of text"
                                           : std::is_same_v<Element, double>    ? "list of numbers"
                                                                                : "list of integers";
  static std::optional<std::vector<Element>> read(const nlohmann::json& value);
  static nlohmann::json parse(std::string_view text);
};

/// Numbers by name, in order. As text: key=number,key=number or a JSON object; as JSON an object, or a list
/// of pairs if they are not sorted by name, since an object would lose the order.
template <>
struct Conversion<std::vector<std::pair<std::string, double>>> {
  static constexpr std::string_view name = "map of name to number";
  static std::optional<std::vector<std::pair<std::string, double>>> read(const nlohmann::json& value);
  static nlohmann::json parse(std::string_view text);
};

/// Null is empty; as text: none.
template <class T>
struct Conversion<std::optional<T>> {
  static constexpr std::string_view name = Conversion<T>::name;
  static std::optional<std::optional<T>> read(const nlohmann::json& value) {
    if (value.is_null()) return std::optional<T>();
    std::optional<T> inner = Conversion<T>::read(value);
    if (!inner) return std::nullopt;
    return inner;
  }
  static nlohmann::json parse(std::string_view text) {
    return text == "none" ? nlohmann::json() : Conversion<T>::parse(text);
  }
};

extern template struct Conversion<std::vector<std::string>>;
extern template struct Conversion<std::vector<int64_t>>;
extern template struct Conversion<std::vector<double>>;

}  // namespace lowrank
