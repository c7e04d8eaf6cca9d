#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace lowrank {

/// The value with its numbers as JSON has them: what base/json.h keeps as text (1.10, 1e3) becomes a double.
/// Integers beyond 64 bits stay text, since no number holds them.
nlohmann::ordered_json with_numbers(nlohmann::ordered_json value);

/// What is written in a string, where tables and columnar files hold JSON as text; other values as they are.
/// `what` names the value in errors, `wanted` says what it must be ("a list of tools"). Errors: invalid for a
/// string that begins neither a list nor an object and is no JSON; corrupt for one that begins one.
nlohmann::ordered_json opened(const nlohmann::ordered_json& value, const std::string& what,
                              std::string_view wanted);

/// The value if its text is one of a JSON object (of any size in a row), else null.
nlohmann::ordered_json object_in(std::string_view text);

/// The word for a value's type in errors: "string", "number", "array", ...
std::string type_of(const nlohmann::ordered_json& value);

}  // namespace lowrank
