#pragma once

#include <memory>
#include <string_view>

#include "tokenizer/jinja/builtins/methods.h"
#include "tokenizer/jinja/values/value.h"

namespace lowrank::jinja {

struct Statement;

/// The variables of a scope; names that it lacks are looked up in the scope around it.
struct Scope : Object {
  explicit Scope(Heap& heap, Ref<Scope> around = {})
      : Object(heap), around(std::move(around)), variables(heap) {}
  void drop() override {
    around = {};
    variables.clear();
  }
  const Value* find(int32_t symbol) const {
    for (const auto& [name, value] : variables) {
      if (name == symbol) return &value;
    }
    return nullptr;
  }
  void set(int32_t symbol, Value value) {
    for (auto& [name, old] : variables) {
      if (name != symbol) continue;
      old = std::move(value);
      return;
    }
    variables.emplace_back(symbol, std::move(value));
  }

  Ref<Scope> around;
  Array<std::pair<int32_t, Value>> variables;
};

/// jinja2's `loop`.
struct Loop : Object {
  explicit Loop(Heap& heap) : Object(heap) {}
  Kind kind() const { return Kind::loop; }
  void drop() override {
    items = source = {};
    changed = Value();
    scope = {};
  }
  int64_t count() const { return static_cast<int64_t>(items->items.size()); }

  Ref<Sequence> items;   ///< those visited and to visit, as far as they are known
  Ref<Sequence> source;  ///< of a loop with a condition: all items; null otherwise
  size_t read = 0;       ///< items of `source` whose condition was computed
  int64_t index = -1;    ///< of the item that is visited, from 0
  int depth = 0;         ///< of recursion, from 0
  Value changed;         ///< the last arguments of loop.changed, undefined before its first call
  const Statement* statement = nullptr;
  Ref<Scope> scope;  ///< around it
};

enum class Function : uint8_t {
  range,
  dict,
  make_namespace,
  raise_exception,
  strftime_now,
  cycler,
  joiner,
  lipsum
};

/// What can be called: a macro or `caller` with the scope it was defined in, a method with its object, a
/// method of a loop, or one of the built-in functions.
struct Callable : Object {
  explicit Callable(Heap& heap) : Object(heap) {}
  Kind kind() const { return Kind::callable; }
  void drop() override {
    scope = {};
    subject = Value();
  }

  const Statement* macro = nullptr;
  Ref<Scope> scope;
  const Method* method = nullptr;
  Value subject;                 ///< of a method or of a loop's method
  std::string_view loop_method;  ///< "cycle" or "changed"
  Function function = Function::range;
};

}  // namespace lowrank::jinja
