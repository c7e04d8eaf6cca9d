#pragma once

#include <string_view>

#include "tokenizer/jinja/builtins/call.h"

namespace lowrank::jinja {

/// A method of a built-in type, called with its object as the call's subject.
struct Method {
  std::string_view name;
  Value (*run)(const Call& call);
};

/// What Python's type has under a name.
enum class Attribute {
  none,
  method,       ///< one that can be called here
  unsafe,       ///< refused by jinja2's sandbox, such as list.append: an undefined value
  unsupported,  ///< in Python but not here
};
struct FoundAttribute {
  Attribute what = Attribute::none;
  const Method* method = nullptr;
};

/// The method of a string, list, dict or number with this name.
FoundAttribute find_method(const Value& value, std::string_view name);

/// Methods of strings, sorted by name.
const Method* text_method(std::string_view name);

}  // namespace lowrank::jinja
