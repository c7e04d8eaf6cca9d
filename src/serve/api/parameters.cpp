#include "serve/api/parameters.h"

#include <cmath>

#include "base/error.h"
#include "base/json.h"
#include "base/one_line.h"
#include "data/conversations/json_values.h"
#include "serve/api/refusal.h"

namespace lowrank::serve {
namespace {

constexpr JsonLimits limits{.depth = 64, .values = 200'000, .keys = 1000};

Json parsed_object(std::string_view body) {
  Json object = parse_body(body);
  if (!object.is_object())
    throw Refusal(400, fmt::format("the request's body must be a JSON object, not {}", type_of(object)));
  return object;
}

std::string shown(const Json& given) {
  constexpr size_t longest = 40;
  const Json value = with_numbers(given);
  // Integers beyond 64 bits are kept as their text.
  if (value.is_binary())
    return one_line(std::string(value.get_binary().begin(), value.get_binary().end()), longest);
  return one_line(json_text(value), longest);
}

/// The integer that a value holds within the bounds, also where it is written as 16.0 or 1e0, as some
/// clients do.
std::optional<int64_t> integer_in(const Json& given, int64_t low, int64_t high) {
  const Json value = with_numbers(given);
  if (value.is_number_float()) {
    const double real = value.get<double>();
    if (std::trunc(real) != real || real < static_cast<double>(low) || real > static_cast<double>(high))
      return std::nullopt;
    return static_cast<int64_t>(real);
  }
  constexpr auto largest = static_cast<uint64_t>(INT64_MAX);
  if (!value.is_number() || (value.is_number_unsigned() && value.get<uint64_t>() > largest))
    return std::nullopt;
  const auto integer = value.get<int64_t>();
  if (integer < low || integer > high) return std::nullopt;
  return integer;
}

}  // namespace

Json parse_body(std::string_view body) {
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos)
    throw Refusal(400, "the request has no body; it takes JSON");
  try {
    return parse_ordered_json(body, "the request's body", limits);
  } catch (const Error& error) {
    throw Refusal(400, error.what());
  }
}

Parameters::Parameters(std::string_view body) : object_(parsed_object(body)) {}

Parameters::Parameters(Json object, std::string name) : object_(std::move(object)) {
  if (!object_.is_object()) refuse(name, "`{}` must be an object, not {}", name, type_of(object_));
  prefix_ = name + ".";
}

const Json* Parameters::find(std::string_view name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::string Parameters::named(std::string_view name) const {
  return prefix_ + std::string(name);
}

std::optional<bool> Parameters::flag(std::string_view name) const {
  const Json* found = find(name);
  if (!found) return std::nullopt;
  if (!found->is_boolean())
    refuse(named(name), "`{}` must be true or false, not {}", named(name), shown(*found));
  return found->get<bool>();
}

std::optional<int64_t> Parameters::integer(std::string_view name, int64_t low, int64_t high) const {
  const Json* found = find(name);
  if (!found) return std::nullopt;
  const auto value = integer_in(*found, low, high);
  if (!value)
    refuse(named(name), "`{}` must be an integer from {} to {}, not {}", named(name), low, high,
           shown(*found));
  return value;
}

std::optional<double> Parameters::number(std::string_view name, double low, double high) const {
  const Json* found = find(name);
  if (!found) return std::nullopt;
  const Json value = with_numbers(*found);
  const double real = value.is_number() ? value.get<double>() : NAN;
  if (!(real >= low && real <= high))
    refuse(named(name), "`{}` must be a number from {} to {}, not {}", named(name), low, high, shown(*found));
  return real;
}

std::optional<std::string> Parameters::text(std::string_view name) const {
  const Json* found = find(name);
  if (!found) return std::nullopt;
  if (!found->is_string()) refuse(named(name), "`{}` must be a string, not {}", named(name), type_of(*found));
  return found->get<std::string>();
}

std::vector<std::string> Parameters::texts(std::string_view name, size_t most) const {
  const Json* found = find(name);
  if (!found) return {};
  if (found->is_string()) return {found->get<std::string>()};
  if (!found->is_array())
    refuse(named(name), "`{}` must be a string or a list of strings, not {}", named(name), type_of(*found));
  if (found->size() > most)
    refuse(named(name), "`{}` has {} entries; at most {} are taken", named(name), found->size(), most);
  std::vector<std::string> texts;
  for (const Json& entry : *found) {
    if (!entry.is_string())
      refuse(named(name), "`{}` must hold strings, not {}", named(name), type_of(entry));
    texts.push_back(entry.get<std::string>());
  }
  return texts;
}

std::vector<int64_t> Parameters::tokens(std::string_view name, const Json& list, size_t most,
                                        int64_t vocabulary) const {
  if (!list.is_array())
    refuse(named(name), "`{}` must be a list of token ids, not {}", named(name), type_of(list));
  if (list.size() > most)
    refuse(named(name), "`{}` has {} token ids; at most {} are taken", named(name), list.size(), most);
  std::vector<int64_t> ids;
  for (const Json& entry : list) {
    const auto id = integer_in(entry, 0, vocabulary - 1);
    if (!id)
      refuse(named(name), "`{}` must hold token ids from 0 to {}, not {}", named(name), vocabulary - 1,
             shown(entry));
    ids.push_back(*id);
  }
  return ids;
}

void Parameters::require(std::string_view name) const {
  if (!find(name)) refuse(named(name), "`{}` is missing", named(name));
}

}  // namespace lowrank::serve
