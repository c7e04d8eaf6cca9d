#pragma once

#include "tokenizer/jinja/values/value.h"

namespace lowrank::jinja {

/// Appends the value as Python's str() prints it: strings as they are, undefined values not at all, lists and
/// dicts with the repr of their items. Punctuation has the origin of the list or dict. Errors: invalid for
/// what prints as an address in memory (functions, generators).
void print(Text& out, const Value& value);

/// Appends Python's repr of the value.
void print_repr(Text& out, const Value& value, Mark punctuation = {});

/// str(value); a string is returned as it is.
Value as_text(Heap& heap, const Value& value);

}  // namespace lowrank::jinja
