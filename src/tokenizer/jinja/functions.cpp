#include <array>
#include <string>
#include <utility>

#include "base/error.h"
#include "tokenizer/jinja/evaluator.h"
#include "tokenizer/jinja/values/printing.h"

namespace lowrank::jinja {
namespace {

constexpr std::array<std::pair<std::string_view, Function>, 8> functions = {{
    {"range", Function::range},
    {"dict", Function::dict},
    {"namespace", Function::make_namespace},
    {"raise_exception", Function::raise_exception},
    {"strftime_now", Function::strftime_now},
    {"cycler", Function::cycler},
    {"joiner", Function::joiner},
    {"lipsum", Function::lipsum},
}};

Value range(const Call& call) {
  check(call.named.empty() && !call.positional.empty() && call.positional.size() <= 3, ErrorKind::invalid,
        "range takes one to three arguments without names");
  std::array<int64_t, 3> parts = {0, 0, 1};
  for (size_t i = 0; i < call.positional.size(); ++i)
    parts[i] = whole_argument(call.positional[i], "range", "an argument");
  if (call.positional.size() == 1) parts = {0, parts[0], 1};
  const auto [start, stop, step] = parts;
  check(step != 0, ErrorKind::invalid, "range() arg 3 must not be zero");
  const Ref<Sequence> result = call.heap.make<Sequence>(Row::range);
  result->start = start;
  result->stop = stop;
  result->step = step;
  const bool none = step > 0 ? start >= stop : start <= stop;
  if (none) return result;
  const uint64_t distance = step > 0 ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start)
                                     : static_cast<uint64_t>(start) - static_cast<uint64_t>(stop);
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : -static_cast<uint64_t>(step);
  const uint64_t count = (distance - 1) / stride + 1;
  const int64_t most = call.heap.limits().range;
  check(count <= static_cast<uint64_t>(most), ErrorKind::invalid,
        "Range too big. The sandbox blocks ranges larger than {}.", most);
  call.heap.work(static_cast<int64_t>(count) / 4);
  for (uint64_t i = 0; i < count; ++i) result->push(start + static_cast<int64_t>(i) * step);
  return result;
}

/// dict(mapping or pairs, name=value, …).
Ref<Dict> dict_of(const Call& call) {
  check(call.positional.size() <= 1, ErrorKind::invalid, "dict takes at most one argument without a name");
  const Ref<Dict> result = call.heap.make<Dict>();
  if (!call.positional.empty()) {
    const Value& source = call.positional[0];
    if (source.is(Kind::dict)) {
      result->origin = source.dict().origin;
      result->message = source.dict().message;
      for (const auto& [key, value] : source.dict().entries) result->set(key, value);
    } else {
      const Ref<Sequence> pairs = items_of(call.heap, source);
      for (const Value& pair : pairs->items) {
        const Ref<Sequence> parts = items_of(call.heap, pair);
        check(parts->items.size() == 2, ErrorKind::invalid, "dict needs pairs of a key and a value");
        result->set(parts->items[0], parts->items[1]);
      }
    }
  }
  for (const auto& [name, value] : call.named) result->set(text_value(call.heap, name), value);
  return result;
}

}  // namespace

void Evaluator::define_functions() {
  for (const auto& [name, function] : functions) {
    const auto symbol = program_.symbol_numbers.find(std::string(name));
    if (symbol == program_.symbol_numbers.end()) continue;
    const Ref<Callable> callable = heap_.make<Callable>();
    callable->function = function;
    scope_->set(symbol->second, callable);
  }
}

Value Evaluator::raise_exception(const Call& call) {
  const auto [message, a, b, c, d, e] = call.bind({"message"}, 1);
  Text text(heap_);
  print(text, *message);
  fail(ErrorKind::invalid, "{}", text.view());
}

Value Evaluator::call_function(Function function, const Call& call) {
  switch (function) {
    case Function::range:
      return range(call);
    case Function::dict:
      return dict_of(call);
    case Function::make_namespace: {
      const Ref<Namespace> space = heap_.make<Namespace>();
      space->members = dict_of(call);
      space->members->message = -1;
      for (const auto& [name, value] : space->members->entries) {
        check(!name.is_text() || !name.view().starts_with('_'), ErrorKind::invalid,
              "Chat templates cannot store underscore-prefixed attributes on a namespace, but got '{}'.",
              name.view());
      }
      return space;
    }
    case Function::raise_exception:
      return raise_exception(call);
    case Function::strftime_now: {
      const auto [format, a, b, c, d, e] = call.bind({"format"}, 1);
      return text_value(heap_, format_time(now_, text_argument(*format, call.function, "the format").view()));
    }
    case Function::cycler:
    case Function::joiner:
    case Function::lipsum:
      break;
  }
  fail(ErrorKind::unsupported, "the function '{}' is not supported", call.function);
}

}  // namespace lowrank::jinja
