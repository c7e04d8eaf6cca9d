#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace lowrank {

/// The tools of a row as OpenAI writes them, [{"type": "function", "function": {"name", ...}}]; null if
/// there are none. `tools` is a list or one as a string of JSON. Bare functions, {"name", "parameters"}, are
/// wrapped. `what` names the field in errors. Errors: invalid and corrupt for other values.
nlohmann::ordered_json read_tools(const nlohmann::ordered_json& tools, const std::string& what);

/// The calls of a message, [{"type": "function", "function": {"name", "arguments"}}, ...], from such a list
/// or from a string of JSON that holds one or a single call; bare calls, {"name", "arguments"}, are wrapped.
/// Arguments that are an object as a string become that object, its keys in their order; other strings stay;
/// none are an empty object. Errors: invalid and corrupt, beginning with `where`.
nlohmann::ordered_json read_tool_calls(const nlohmann::ordered_json& calls, const std::string& where);

}  // namespace lowrank
