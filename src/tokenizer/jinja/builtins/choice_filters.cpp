#include <array>

#include "base/error.h"
#include "tokenizer/jinja/builtins/filters.h"
#include "tokenizer/jinja/builtins/lookup.h"
#include "tokenizer/jinja/builtins/tests.h"

namespace lowrank::jinja {
namespace {

/// The positional arguments from number `first`, and the named ones, for a filter or test of each item.
Call inner_call(const Call& call, std::string_view name, size_t first) {
  Call inner(call.heap, name);
  for (size_t i = first; i < call.positional.size(); ++i) inner.positional.push_back(call.positional[i]);
  for (const auto& [key, value] : call.named) inner.named.emplace_back(key, value);
  return inner;
}

const Value* named(const Call& call, std::string_view name) {
  for (const auto& [key, value] : call.named) {
    if (key == name) return &value;
  }
  return nullptr;
}

/// jinja2 does not look into values that are false, of whatever type.
Ref<Sequence> items_if_any(const Call& call) {
  return items_of(call.heap, call.subject.truthy() ? call.subject : Value());
}

Value map(const Call& call) {
  const Ref<Sequence> items = items_if_any(call);
  const Ref<Sequence> result = call.heap.make<Sequence>(Row::generator);
  const Value* attribute = named(call, "attribute");
  if (call.positional.empty() && attribute) {
    const Value* otherwise = named(call, "default");
    check(call.named.size() == (otherwise ? 2U : 1U), ErrorKind::invalid,
          "map has no such argument beside 'attribute'");
    for (const Value& item : items->items) {
      call.heap.work(1);
      result->push(
          path_of(call.heap, item, *attribute, otherwise && !otherwise->is_none() ? otherwise : nullptr));
    }
    return result;
  }
  check(!call.positional.empty(), ErrorKind::invalid, "map requires a filter argument");
  const std::string_view name = text_argument(call.positional[0], call.function, "the filter").view();
  const int32_t number = filter_number(name);
  check(number >= 0, ErrorKind::invalid, "{}", unknown_filter(name));
  Call inner = inner_call(call, name, 1);
  for (const Value& item : items->items) {
    call.heap.work(1);
    inner.subject = item;
    result->push(run_filter(number, inner));
  }
  return result;
}

/// select, reject (of items) and selectattr, rejectattr (of one of their attributes).
template <bool wanted, bool by_attribute>
Value choose(const Call& call) {
  constexpr size_t first = by_attribute ? 1 : 0;
  check(call.positional.size() >= first, ErrorKind::invalid, "{} needs the name of an attribute",
        call.function);
  const Ref<Sequence> items = items_if_any(call);
  const Ref<Sequence> result = call.heap.make<Sequence>(Row::generator);
  const bool tested = call.positional.size() > first;
  const std::string_view name =
      tested ? text_argument(call.positional[first], call.function, "the test").view() : "";
  const int32_t number = tested ? test_number(name) : -1;
  check(!tested || number >= 0, ErrorKind::invalid, "{}", unknown_test(name));
  Call inner = inner_call(call, name, first + 1);
  for (const Value& item : items->items) {
    call.heap.work(1);
    inner.subject = by_attribute ? path_of(call.heap, item, call.positional[0]) : item;
    const bool passes = tested ? run_test(number, inner) : inner.subject.truthy();
    if (passes == wanted) result->push(item);
  }
  return result;
}

constexpr std::array filters = {
    Filter{"map", map}, Filter{"reject", choose<false, false>}, Filter{"rejectattr", choose<false, true>},
    Filter{"select", choose<true, false>}, Filter{"selectattr", choose<true, true>}};

}  // namespace

std::span<const Filter> choice_filters() {
  return filters;
}

}  // namespace lowrank::jinja
