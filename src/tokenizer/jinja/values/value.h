#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "tokenizer/jinja/values/heap.h"
#include "tokenizer/jinja/values/text.h"

namespace lowrank::jinja {

/// The types of Jinja's values. `digits`: an integer beyond 64 bits, kept as its digits. `sequence`: lists,
/// tuples and what else is a row of values.
enum class Kind : uint8_t {
  undefined,
  none,
  boolean,
  integer,
  real,
  digits,
  text,
  sequence,
  dict,
  space,
  loop,
  callable
};

/// Python's name of the type.
std::string_view type_name(Kind kind);

struct TextObject;
struct Sequence;
struct Dict;
struct Namespace;

/// A value of a template: a number or the like itself, everything else as a counted pointer.
class Value {
 public:
  Value() : integer_(0) {}
  Value(bool value) : kind_(Kind::boolean), integer_(value) {}
  Value(int value) : kind_(Kind::integer), integer_(value) {}
  Value(int64_t value) : kind_(Kind::integer), integer_(value) {}
  Value(double value) : kind_(Kind::real), real_(value) {}
  Value(const void*) = delete;
  template <class T>
  Value(Kind kind, const Ref<T>& object) : kind_(kind), object_(object.get()) {
    object_->keep();
  }
  template <class T>
  Value(const Ref<T>& object) : Value(object->kind(), object) {}
  Value(const Value& other);
  Value(Value&& other) noexcept;
  Value& operator=(Value other) noexcept;
  ~Value() {
    if (counted()) object_->release();
  }

  static Value none();
  /// What a variable, attribute or item is that does not exist. `name` (may be null) outlives the render;
  /// `owner` is the type that has no such attribute, `undefined` for a variable.
  static Value undefined(const std::string* name, Kind owner = Kind::undefined);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool boolean() const { return integer_ != 0; }
  int64_t integer() const { return integer_; }
  double real() const { return real_; }
  Object* object() const { return counted() ? object_ : nullptr; }

  /// These hold for values of that kind only.
  const Text& text() const;
  std::string_view view() const { return text().view(); }
  Sequence& sequence() const;
  Dict& dict() const;
  Namespace& space() const;

  bool is_undefined() const { return kind_ == Kind::undefined; }
  bool is_none() const { return kind_ == Kind::none; }
  bool is_text() const { return kind_ == Kind::text; }
  bool is_number() const { return kind_ >= Kind::boolean && kind_ <= Kind::digits; }
  /// A boolean or a 64-bit integer, which Python computes with alike.
  bool is_whole() const { return kind_ == Kind::boolean || kind_ == Kind::integer; }

  /// What an operation on an undefined value says, such as "'x' is undefined".
  std::string undefined_message() const;

  bool truthy() const;

 private:
  bool counted() const { return kind_ >= Kind::digits; }

  Kind kind_ = Kind::undefined;
  Kind owner_ = Kind::undefined;
  union {
    int64_t integer_;
    double real_;
    Object* object_;
    const std::string* name_;
  };
};

struct TextObject : Object {
  TextObject(Heap& heap, Text value) : Object(heap), text(std::move(value)) {}
  Kind kind() const { return Kind::text; }
  Text text;
};

/// What a row of values is in Python: they print, and answer tests, differently.
enum class Row : uint8_t { list, tuple, range, generator, keys, values, items };

struct Sequence : Object {
  explicit Sequence(Heap& heap, Row row = Row::list) : Object(heap), row(row), items(heap) {}
  Kind kind() const { return Kind::sequence; }
  void drop() override { items.clear(); }
  /// Errors: invalid when there are more than the limit.
  void push(Value value);

  Row row;
  Array<Value> items;
  int64_t start = 0, stop = 0, step = 1;  ///< of a range, for printing
  bool consumed = false;                  ///< a generator gives its items once
};

/// Keys in the order of their first insertion, each with its last value.
struct Dict : Object {
  explicit Dict(Heap& heap) : Object(heap), entries(heap), slots_(heap) {}
  Kind kind() const { return Kind::dict; }
  void drop() override { entries.clear(); }

  const Value* find(std::string_view key) const;
  /// Errors: invalid when the key is a list or dict.
  const Value* find(const Value& key) const;
  void set(Value key, Value value);

  Array<std::pair<Value, Value>> entries;
  int message = -1;  ///< index, if this is a message

 private:
  template <class Same>
  int64_t find_slot(size_t hash, Same same) const;
  void index_entries();
  Array<int32_t> slots_;  ///< open addressing over the entries, -1: free; empty for small dicts
};

struct Namespace : Object {
  explicit Namespace(Heap& heap) : Object(heap) {}
  Kind kind() const { return Kind::space; }
  void drop() override { members = {}; }
  Ref<Dict> members;
  bool printing = false;  ///< its repr is under way, so it holds itself
};

/// A tuple of two values.
Value pair_of(Heap& heap, const Value& first, const Value& second);
Value text_value(Text text);
inline Value text_value(Heap& heap, std::string_view bytes, Mark mark = {}) {
  return text_value(Text(heap, bytes, mark));
}

/// A hash that equal values share. Errors: invalid for lists, dicts and other unhashable values.
size_t hash_of(const Value& value);

}  // namespace lowrank::jinja
