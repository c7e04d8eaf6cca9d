#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/nearest_name.h"

namespace lowrank {

/// One option, declared once: flag, key in files, default (the bound variable's value), help and strict
/// conversion.
struct Field {
  std::string name;                     ///< snake_case, as in files
  std::string help;                     ///< one line, for users
  std::function<nlohmann::json()> get;  ///< the current value; null for an empty optional
  std::function<void(const nlohmann::json&)>
      set;                ///< stores a value, or throws an Error that names the field
  std::string type_name;  ///< for help and errors: "integer", "list of text", "linear|cosine"
  std::function<nlohmann::json(std::string_view)> parse;  ///< command-line text to the JSON that `set` takes
};

/// A field that reads and writes `value`, which must outlive it. T is bool, int64_t, double, std::string,
/// std::vector of std::string, int64_t or double, std::vector<std::pair<std::string, double>> (numbers by
/// name, in order), or std::optional of one of the others.
///
/// `set` is strict: 3.0 is an integer and 3 a number, but "3" is neither; numbers must fit and be finite;
/// null is for optionals only.
template <class T>
Field field(std::string name, T& value, std::string help);

/// `field` whose numbers (including the entries of a list or map) must lie in [low, high]; either end may be
/// infinite.
Field limited(Field field, double low, double high);

/// A text `field` that accepts only one of `choices`; the error for any other suggests the nearest.
Field one_of(Field field, std::vector<std::string> choices);

/// A text field whose value on the command line may look like a flag: a prompt, for instance.
Field any_text(Field field);
bool is_any_text(const Field& field);

/// A text field whose value may be left out on the command line and is then `value`.
Field optional_text(Field field, std::string value);
bool is_optional_text(const Field& field);

/// A list of texts that the command line gives by repeating the option: `--name A --name B`.
Field repeatable(Field field);
bool is_repeatable(const Field& field);

/// Sets a field from the command line: true or false, bare numbers, lists as a,b or as a JSON array, maps as
/// key=number,key=number or as a JSON object, `none` to empty an optional.
void set_text(const Field& field, std::string_view text);

/// Sets every key of a JSON object. All unknown keys (each with the nearest known name) and all bad values
/// are reported in one Error that begins with `where` (a file's name); the good values are set even then.
void apply(std::span<const Field> fields, const nlohmann::json& object, std::string_view where);

/// The values of all fields as one JSON object.
nlohmann::json resolved(std::span<const Field> fields);

/// The command-line flag of a field name: "target_modules" gives "--target-modules".
std::string flag_name(std::string_view name);

/// The field of that name, written with dashes or underscores; null if there is none.
const Field* find_field(std::span<const Field> fields, std::string_view name);

}  // namespace lowrank
