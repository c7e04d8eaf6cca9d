#include "tokenizer/jinja/builtins/lookup.h"

#include <charconv>
#include <optional>

#include "base/error.h"
#include "tokenizer/jinja/builtins/callable.h"
#include "tokenizer/jinja/values/string_functions.h"

namespace lowrank::jinja {
namespace {

/// An attribute of `loop`.
std::optional<Value> attribute_of_loop(Heap& heap, const Value& value, std::string_view name) {
  auto& loop = static_cast<Loop&>(*value.object());
  const int64_t count = loop.count();
  if (name == "index") return loop.index + 1;
  if (name == "index0") return loop.index;
  if (name == "revindex") return count - loop.index;
  if (name == "revindex0") return count - loop.index - 1;
  if (name == "first") return loop.index == 0;
  if (name == "last") return loop.index + 1 >= count;
  if (name == "length") return count;
  if (name == "depth") return loop.depth + 1;
  if (name == "depth0") return loop.depth;
  if (name == "previtem")
    return loop.index > 0 ? loop.items->items[static_cast<size_t>(loop.index - 1)] : Value();
  if (name == "nextitem")
    return loop.index + 1 < count ? loop.items->items[static_cast<size_t>(loop.index + 1)] : Value();
  if (name == "cycle" || name == "changed") {
    const Ref<Callable> method = heap.make<Callable>();
    method->loop_method = name == "cycle" ? "cycle" : "changed";
    method->subject = value;
    return Value(method);
  }
  return std::nullopt;
}

/// A method or attribute, if the object's type has it.
std::optional<Value> real_attribute(Heap& heap, const Value& object, std::string_view name,
                                    const std::string* kept) {
  if (object.is(Kind::loop)) return attribute_of_loop(heap, object, name);
  if (object.is(Kind::callable)) {
    fail(ErrorKind::unsupported, "a function has no attributes here, such as '{}': is a call missing?", name);
  }
  if (object.is(Kind::space)) {
    const Value* member = object.space().members->find(name);
    return member ? std::optional<Value>(*member) : std::nullopt;
  }
  const FoundAttribute found = find_method(object, name);
  switch (found.what) {
    case Attribute::none:
      return std::nullopt;
    case Attribute::unsafe:
      return Value::undefined(kept, object.kind());
    case Attribute::unsupported:
      fail(ErrorKind::unsupported, "'{}' of '{}' is not supported", name, type_name(object.kind()));
    case Attribute::method:
      break;
  }
  const Ref<Callable> method = heap.make<Callable>();
  method->method = found.method;
  method->subject = object;
  return Value(method);
}

void refuse_undefined(const Value& object) {
  if (object.is_undefined()) fail(ErrorKind::invalid, "{}", object.undefined_message());
}

/// The item itself; nothing if there is none or the type has no items.
std::optional<Value> item(const Value& object, const Value& key) {
  if (object.is(Kind::dict)) {
    if (key.is(Kind::dict) || (key.is(Kind::sequence) && key.sequence().row != Row::tuple))
      return std::nullopt;
    const Value* found = object.dict().find(key);
    return found ? std::optional<Value>(*found) : std::nullopt;
  }
  if (!key.is_whole()) return std::nullopt;
  int64_t index = key.integer();
  if (object.is_text()) {
    const Text& text = object.text();
    if (index < 0) index += text.length();
    if (index < 0 || index >= text.length()) return std::nullopt;
    return text_value(slice_text(text, index, index + 1, 1));
  }
  if (object.is(Kind::sequence) && object.sequence().row <= Row::range) {
    const Array<Value>& items = object.sequence().items;
    if (index < 0) index += static_cast<int64_t>(items.size());
    if (index < 0 || index >= static_cast<int64_t>(items.size())) return std::nullopt;
    return items[static_cast<size_t>(index)];
  }
  return std::nullopt;
}

}  // namespace

Value attribute_of(Heap& heap, const Value& object, const std::string& name) {
  refuse_undefined(object);
  if (auto found = real_attribute(heap, object, name, &name)) return std::move(*found);
  if (object.is(Kind::dict)) {
    if (const Value* found = object.dict().find(name)) return *found;
  }
  return Value::undefined(&name, object.kind());
}

Value item_of(Heap& heap, const Value& object, const Value& key, const std::string* name) {
  refuse_undefined(object);
  if (auto found = item(object, key)) return std::move(*found);
  if (key.is_text()) {
    if (auto found = real_attribute(heap, object, key.view(), name)) return std::move(*found);
  }
  return Value::undefined(name, object.kind() == Kind::undefined ? Kind::none : object.kind());
}

Value path_of(Heap& heap, const Value& object, const Value& path, const Value* otherwise) {
  const auto or_otherwise = [&](Value value) {
    return value.is_undefined() && otherwise ? *otherwise : value;
  };
  if (!path.is_text()) return or_otherwise(item_of(heap, object, path));
  Value value = object;
  const std::string_view parts = path.view();
  for (size_t begin = 0; begin <= parts.size();) {
    const size_t end = std::min(parts.find('.', begin), parts.size());
    const std::string_view part = parts.substr(begin, end - begin);
    int64_t index = 0;
    const auto number = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool is_index = !part.empty() && part[0] != '-' && number.ptr == part.data() + part.size() &&
                          number.ec == std::errc();
    value = or_otherwise(item_of(heap, value, is_index ? Value(index) : text_value(heap, part)));
    begin = end + 1;
  }
  return value;
}

}  // namespace lowrank::jinja
