#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/jinja/values/value.h"

namespace lowrank::jinja {

/// The arguments of a call. A method or filter also has a subject: what stands before the dot or bar.
struct Call {
  explicit Call(Heap& heap, std::string_view function)
      : heap(heap), function(function), positional(heap), named(heap) {}

  /// Most parameters of a built-in function.
  static constexpr size_t most = 6;
  using Bound = std::array<const Value*, most>;

  /// Each parameter's argument, null where there is none. Errors: invalid when one of the first `required` is
  /// missing, when there are too many and for unknown names.
  Bound bind(std::initializer_list<std::string_view> parameters, size_t required = 0) const;

  Heap& heap;
  std::string_view function;  ///< for errors
  Value subject;
  Value kept;  ///< what owns the names of `named`, if the template does not
  Array<Value> positional;
  Array<std::pair<std::string_view, Value>> named;
};

/// An argument as what a function needs; `what` names the argument in errors. Errors: invalid for other
/// types.
int64_t whole_argument(const Value& value, std::string_view function, std::string_view what);
const Text& text_argument(const Value& value, std::string_view function, std::string_view what);

/// The items that a `for` over the value visits: of a list, the characters of a string, the keys of a dict,
/// none of an undefined value; a generator gives them once. Errors: invalid for other types.
Ref<Sequence> items_of(Heap& heap, const Value& value);

/// Number of items, characters or keys. Errors: invalid for other types.
int64_t length_of(const Value& value);

}  // namespace lowrank::jinja
