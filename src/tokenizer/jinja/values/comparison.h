#pragma once

#include "tokenizer/jinja/values/value.h"

namespace lowrank::jinja {

/// Python's `==`: numbers of all types compare by value, lists and dicts by their contents, undefined values
/// are equal to each other. Errors: invalid when the data is nested too deep.
bool equal(const Value& a, const Value& b);

/// Whether both are the same object, or the same number, boolean or none.
bool same(const Value& a, const Value& b);

/// Python's order of two numbers, strings, lists or tuples: negative, 0 or positive. Errors: invalid when
/// these types have no order; `operation` names it.
int order(const Value& a, const Value& b, std::string_view operation = "<");

/// Whether a list has the item, a dict the key, a string the substring. Errors: invalid for other containers.
bool contains(const Value& container, const Value& item);

}  // namespace lowrank::jinja
