#include "data/conversations/tools.h"

#include <utility>

#include "base/error.h"
#include "base/one_line.h"
#include "data/conversations/json_values.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

bool is_set(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && !found->is_null();
}

/// {"type": "function", "function": entry} for an entry without `function`; others as they are.
Json wrapped(Json entry) {
  if (is_set(entry, "function") || !is_set(entry, "name")) return entry;
  Json whole = {{"type", "function"}};
  if (const auto id = entry.find("id"); id != entry.end()) {
    whole["id"] = *id;
    entry.erase("id");
  }
  if (const auto type = entry.find("type"); type != entry.end()) entry.erase("type");
  whole["function"] = std::move(entry);
  return whole;
}

void check_type(const Json& entry, const std::string& where) {
  const auto type = entry.find("type");
  if (type == entry.end() || type->is_null() || *type == "function") return;
  fail(ErrorKind::unsupported, "{}: only the type \"function\" is supported, not {}", where,
       type->is_string() ? in_quotes(type->get<std::string>(), 40) : type_of(*type));
}

Json read_arguments(Json arguments, const std::string& where) {
  if (arguments.is_null()) return Json::object();
  if (arguments.is_object()) return arguments;
  check(arguments.is_string(), ErrorKind::invalid,
        "{}: \"arguments\" must be an object, or one as a string of JSON, not {}", where, type_of(arguments));
  const auto& text = arguments.get_ref<const std::string&>();
  if (text.empty()) return Json::object();
  Json object = object_in(text);
  return object.is_object() ? object : arguments;
}

Json read_call(const Json& given, const std::string& where) {
  check(given.is_object(), ErrorKind::invalid, "{} must be an object, not {}", where, type_of(given));
  check_type(given, where);
  Json call = wrapped(given);
  if (call.contains("type") && call["type"].is_null()) call["type"] = "function";
  const auto function = call.find("function");
  check(function != call.end() && function->is_object() && function->contains("name") &&
            (*function)["name"].is_string(),
        ErrorKind::invalid,
        "{} must name a function: {{\"function\": {{\"name\": \"...\", \"arguments\": {{...}}}}}}", where);
  Json arguments;
  if (const auto found = function->find("arguments"); found != function->end())
    arguments = *found;
  else if (const auto other = function->find("parameters"); other != function->end())
    fail(ErrorKind::invalid, "{}: the arguments of a call are called \"arguments\", not \"parameters\"",
         where);
  (*function)["arguments"] = read_arguments(std::move(arguments), where);
  return call;
}

}  // namespace

Json read_tools(const Json& tools, const std::string& what) {
  const Json list = opened(tools, what, "a list of tools");
  if (list.is_null()) return nullptr;
  check(list.is_array(), ErrorKind::invalid, "{} must be a list of tools, or one as a string of JSON, not {}",
        what, type_of(list));
  Json read = Json::array();
  for (size_t i = 0; i < list.size(); ++i) {
    const Json& tool = list[i];
    const std::string where = fmt::format("{}: tool {}", what, i + 1);
    check(tool.is_object(), ErrorKind::invalid, "{} must be an object, not {}", where, type_of(tool));
    check(is_set(tool, "function") || is_set(tool, "name"), ErrorKind::invalid,
          "{} has neither \"function\" nor \"name\"", where);
    read.push_back(wrapped(tool));
  }
  return read.empty() ? Json(nullptr) : read;
}

Json read_tool_calls(const Json& calls, const std::string& where) {
  Json list = opened(calls, where, "a list of calls");
  if (list.is_object()) list = Json::array({std::move(list)});
  check(list.is_array(), ErrorKind::invalid, "{} must be a list of calls, not {}", where, type_of(list));
  Json read = Json::array();
  for (size_t i = 0; i < list.size(); ++i)
    read.push_back(read_call(list[i], fmt::format("{}: call {}", where, i + 1)));
  return read;
}

}  // namespace lowrank
