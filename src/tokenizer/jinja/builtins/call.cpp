#include "tokenizer/jinja/builtins/call.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/text/characters.h"

namespace lowrank::jinja {

Call::Bound Call::bind(std::initializer_list<std::string_view> parameters, size_t required) const {
  Bound bound{};
  check(positional.size() <= parameters.size(), ErrorKind::invalid, "{} takes at most {} arguments, not {}",
        function, parameters.size(), positional.size());
  for (size_t i = 0; i < positional.size(); ++i) bound[i] = &positional[i];
  for (const auto& [name, value] : named) {
    const auto* found = std::find(parameters.begin(), parameters.end(), name);
    check(found != parameters.end(), ErrorKind::invalid, "{} has no argument '{}'", function, name);
    const auto place = static_cast<size_t>(found - parameters.begin());
    check(!bound[place], ErrorKind::invalid, "{} got the argument '{}' twice", function, name);
    bound[place] = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    check(bound[i], ErrorKind::invalid, "{} needs the argument '{}'", function, *(parameters.begin() + i));
  }
  return bound;
}

int64_t whole_argument(const Value& value, std::string_view function, std::string_view what) {
  if (value.is_undefined()) fail(ErrorKind::invalid, "{}", value.undefined_message());
  check(value.is_whole(), ErrorKind::invalid, "{} of {} must be a 64-bit integer, not '{}'", what, function,
        type_name(value.kind()));
  return value.integer();
}

const Text& text_argument(const Value& value, std::string_view function, std::string_view what) {
  if (value.is_undefined()) fail(ErrorKind::invalid, "{}", value.undefined_message());
  check(value.is_text(), ErrorKind::invalid, "{} of {} must be a string, not '{}'", what, function,
        type_name(value.kind()));
  return value.text();
}

Ref<Sequence> items_of(Heap& heap, const Value& value) {
  if (value.is(Kind::sequence) && value.sequence().row != Row::generator)
    return Ref<Sequence>(&value.sequence());
  const Ref<Sequence> list = heap.make<Sequence>();
  switch (value.kind()) {
    case Kind::undefined:
      break;
    case Kind::sequence:
      if (std::exchange(value.sequence().consumed, true)) break;
      list->items = std::move(value.sequence().items);
      value.sequence().items.clear();
      break;
    case Kind::text: {
      const Text& text = value.text();
      heap.work(text.length());
      for (size_t at = 0; at < text.size();) {
        const size_t begin = at;
        next_character(text.view(), at);
        Text character = text.slice(begin, at);
        character.markup = false;
        list->push(text_value(std::move(character)));
      }
      break;
    }
    case Kind::dict:
      for (const auto& [key, entry] : value.dict().entries) list->push(key);
      break;
    default:
      fail(ErrorKind::invalid, "'{}' object is not iterable", type_name(value.kind()));
  }
  return list;
}

int64_t length_of(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return 0;
    case Kind::text:
      return value.text().length();
    case Kind::dict:
      return static_cast<int64_t>(value.dict().entries.size());
    case Kind::sequence:
      check(value.sequence().row != Row::generator, ErrorKind::invalid,
            "object of type 'generator' has no len()");
      return static_cast<int64_t>(value.sequence().items.size());
    default:
      fail(ErrorKind::invalid, "object of type '{}' has no len()", type_name(value.kind()));
  }
}

}  // namespace lowrank::jinja
