#include "tokenizer/jinja/values/value.h"

#include <cmath>
#include <functional>

#include <fmt/format.h>

#include "base/error.h"
#include "tokenizer/jinja/values/comparison.h"

namespace lowrank::jinja {
namespace {

constexpr size_t small_dict = 8;  // entries that are searched one by one

}  // namespace

std::string_view type_name(Kind kind) {
  switch (kind) {
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
    case Kind::digits:
      return "int";
    case Kind::real:
      return "float";
    case Kind::text:
      return "str";
    case Kind::sequence:
      return "list";
    case Kind::dict:
      return "dict";
    case Kind::space:
      return "Namespace";
    case Kind::loop:
      return "LoopContext";
    case Kind::callable:
      return "function";
  }
  return "object";
}

Value::Value(const Value& other) : kind_(other.kind_), owner_(other.owner_), integer_(other.integer_) {
  if (counted()) object_->keep();
}

Value::Value(Value&& other) noexcept : kind_(other.kind_), owner_(other.owner_), integer_(other.integer_) {
  other.kind_ = Kind::none;
}

Value& Value::operator=(Value other) noexcept {
  std::swap(kind_, other.kind_);
  std::swap(owner_, other.owner_);
  std::swap(integer_, other.integer_);
  return *this;
}

Value Value::none() {
  Value value;
  value.kind_ = Kind::none;
  return value;
}

Value Value::undefined(const std::string* name, Kind owner) {
  Value value;
  value.owner_ = owner;
  value.name_ = name;
  return value;
}

const Text& Value::text() const {
  return static_cast<TextObject*>(object_)->text;
}
Sequence& Value::sequence() const {
  return *static_cast<Sequence*>(object_);
}
Dict& Value::dict() const {
  return *static_cast<Dict*>(object_);
}
Namespace& Value::space() const {
  return *static_cast<Namespace*>(object_);
}

std::string Value::undefined_message() const {
  if (owner_ == Kind::undefined)
    return name_ ? fmt::format("'{}' is undefined", *name_) : "the value is undefined";
  const std::string_view owner = owner_ == Kind::none ? "None" : type_name(owner_);
  const std::string_view what = owner_ == Kind::none ? "" : " object";
  if (!name_) return fmt::format("the {}{} has no such element", owner, what);
  return fmt::format("'{}{}' has no attribute '{}'", owner, what, *name_);
}

bool Value::truthy() const {
  switch (kind_) {
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
    case Kind::integer:
      return integer_ != 0;
    case Kind::real:
      return real_ != 0;
    case Kind::text:
      return !text().empty();
    case Kind::sequence:
      return sequence().row == Row::generator || !sequence().items.empty();
    case Kind::dict:
      return !dict().entries.empty();
    case Kind::digits:
    case Kind::space:
    case Kind::loop:
    case Kind::callable:
      return true;
  }
  return true;
}

void Sequence::push(Value value) {
  check(static_cast<int64_t>(items.size()) < heap().limits().items, ErrorKind::invalid,
        "a list of more than {} items, the limit of a render", heap().limits().items);
  items.push_back(std::move(value));
}

template <class Same>
int64_t Dict::find_slot(size_t hash, Same same) const {
  if (slots_.empty()) {
    for (size_t i = 0; i < entries.size(); ++i) {
      if (same(entries[i].first)) return static_cast<int64_t>(i);
    }
    return -1;
  }
  const size_t mask = slots_.size() - 1;
  for (size_t slot = hash & mask; slots_[slot] >= 0; slot = (slot + 1) & mask) {
    heap().work(1);
    if (same(entries[static_cast<size_t>(slots_[slot])].first)) return slots_[slot];
  }
  return -1;
}

const Value* Dict::find(std::string_view key) const {
  const size_t hash = slots_.empty() ? 0 : std::hash<std::string_view>()(key);
  const int64_t found =
      find_slot(hash, [&](const Value& other) { return other.is_text() && other.view() == key; });
  return found < 0 ? nullptr : &entries[static_cast<size_t>(found)].second;
}

const Value* Dict::find(const Value& key) const {
  if (key.is_text()) return find(key.view());
  const int64_t found = find_slot(hash_of(key), [&](const Value& other) { return equal(other, key); });
  return found < 0 ? nullptr : &entries[static_cast<size_t>(found)].second;
}

void Dict::set(Value key, Value value) {
  if (!key.is_text()) (void)hash_of(key);
  if (const Value* old = find(key)) {
    *const_cast<Value*>(old) = std::move(value);
    return;
  }
  check(static_cast<int64_t>(entries.size()) < heap().limits().items / 2, ErrorKind::invalid,
        "a dict of more than {} keys, the limit of a render", heap().limits().items / 2);
  entries.emplace_back(std::move(key), std::move(value));
  if (entries.size() > small_dict) index_entries();
}

void Dict::index_entries() {
  size_t first = entries.size() - 1;
  if (slots_.size() < 2 * entries.size()) {
    const size_t size = slots_.empty() ? 4 * small_dict : 2 * slots_.size();
    slots_.assign(size, -1);
    first = 0;
  }
  const size_t mask = slots_.size() - 1;
  for (size_t i = first; i < entries.size(); ++i) {
    size_t slot = hash_of(entries[i].first) & mask;
    while (slots_[slot] >= 0) slot = (slot + 1) & mask;
    slots_[slot] = static_cast<int32_t>(i);
  }
}

Value pair_of(Heap& heap, const Value& first, const Value& second) {
  const Ref<Sequence> pair = heap.make<Sequence>(Row::tuple);
  pair->push(first);
  pair->push(second);
  return pair;
}

Value text_value(Text text) {
  Heap& heap = text.heap();
  return heap.make<TextObject>(std::move(text));
}

size_t hash_of(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return 1;
    case Kind::none:
      return 2;
    case Kind::boolean:
    case Kind::integer:
      return std::hash<int64_t>()(value.integer());
    case Kind::real: {
      const double number = value.real();
      if (std::trunc(number) == number && std::abs(number) < 9e18) {
        return std::hash<int64_t>()(static_cast<int64_t>(number));
      }
      return std::hash<double>()(number);
    }
    case Kind::digits:
    case Kind::text:
      return std::hash<std::string_view>()(value.view());
    case Kind::sequence: {
      check(value.sequence().row == Row::tuple, ErrorKind::invalid, "unhashable type: 'list'");
      const Nesting nesting(value.sequence().heap());
      size_t hash = 3;
      for (const Value& item : value.sequence().items) hash = hash * 1'000'003 + hash_of(item);
      return hash;
    }
    case Kind::dict:
      fail(ErrorKind::invalid, "unhashable type: 'dict'");
    case Kind::space:
    case Kind::loop:
    case Kind::callable:
      return std::hash<const void*>()(value.object());
  }
  return 0;
}

}  // namespace lowrank::jinja
