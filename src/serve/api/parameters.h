#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace lowrank::serve {

using Json = nlohmann::ordered_json;

/// The JSON of a request's body. Errors: a Refusal for what is no JSON, for keys that stand twice, for
/// nesting deeper than 64 levels, for more than 200,000 values and for text that is not UTF-8.
Json parse_body(std::string_view body);

/// Whether a value is a number: large ones and those like 1e3 are kept as their text.
inline bool is_number(const Json& value) {
  return value.is_number() || value.is_binary();
}

/// The JSON object of a request's body, with strict access to its members. One that is null is absent. Errors
/// are Refusals that name the parameter.
class Parameters {
 public:
  /// Reads a body. Errors: as parse_body; a Refusal for what is no object.
  explicit Parameters(std::string_view body);
  /// An object inside another one; `name` is its parameter.
  Parameters(Json object, std::string name);

  bool has(std::string_view name) const { return find(name) != nullptr; }
  /// The member, null if it is absent.
  const Json* find(std::string_view name) const;

  /// Errors for another type: "1" is no number, 1.5 no integer; numbers lie in [low, high].
  std::optional<bool> flag(std::string_view name) const;
  std::optional<int64_t> integer(std::string_view name, int64_t low, int64_t high) const;
  std::optional<double> number(std::string_view name, double low, double high) const;
  std::optional<std::string> text(std::string_view name) const;
  /// A text, or a list of at most `most` of them.
  std::vector<std::string> texts(std::string_view name, size_t most) const;
  /// A list of at most `most` token ids below `vocabulary`.
  std::vector<int64_t> tokens(std::string_view name, const Json& list, size_t most, int64_t vocabulary) const;

  /// Refuses a parameter that is absent.
  void require(std::string_view name) const;
  /// The parameter's name as a client sees it: "stream_options.include_usage".
  std::string named(std::string_view name) const;

 private:
  Json object_;
  std::string prefix_;
};

}  // namespace lowrank::serve
