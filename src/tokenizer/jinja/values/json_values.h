#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "tokenizer/jinja/values/value.h"

namespace lowrank::jinja {

/// JSON of parse_ordered_json as a value, as Python's json.loads would read its text: integers and floats
/// stay apart, integers beyond 64 bits keep their digits. All parts get the origin. Errors: corrupt for text
/// that is not UTF-8; invalid above the heap's limits.
Value value_of(Heap& heap, const nlohmann::ordered_json& json, int origin);

/// The array of messages: each has its index as origin, and its object knows it.
Value messages_of(Heap& heap, const nlohmann::ordered_json& messages);

/// Arguments of Python's json.dumps.
struct JsonStyle {
  std::optional<std::string> indent;  ///< of one level; none: all on one line
  std::string between_items = ", ";
  std::string after_key = ": ";
  bool ensure_ascii = false;
  bool sort_keys = false;
};

/// json.dumps(value). Punctuation has the origin of its list or dict. Errors: invalid for what is not JSON,
/// such as undefined values and ranges.
Text json_dump(Heap& heap, const Value& value, const JsonStyle& style);

}  // namespace lowrank::jinja
