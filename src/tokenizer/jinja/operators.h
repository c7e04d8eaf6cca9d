#pragma once

#include <optional>

#include "tokenizer/jinja/syntax/syntax.h"
#include "tokenizer/jinja/values/value.h"

namespace lowrank::jinja {

/// Python's arithmetic operators for all types: numbers, `+` of strings and lists, `*` of a string or list
/// with a number, `%` of a string with what it formats. Errors: invalid for other types.
Value operate(Heap& heap, Operation operation, const Value& a, const Value& b);

/// One comparison. Errors: invalid for types without order, and for `in` of no container.
bool compare(Comparison comparison, const Value& a, const Value& b);

/// `object[a:b:c]`; an absent part is null. A value that has no slices gives an undefined one. Errors:
/// invalid when a part is no integer.
Value slice_of(Heap& heap, const Value& object, const Value* begin, const Value* end, const Value* step);

}  // namespace lowrank::jinja
