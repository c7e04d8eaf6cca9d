#include "tokenizer/jinja/builtins/methods.h"

#include <algorithm>
#include <span>

#include "base/error.h"
#include "tokenizer/jinja/values/comparison.h"

namespace lowrank::jinja {
namespace {

template <Row row>
Value view_of_dict(const Call& call) {
  (void)call.bind({});
  const Ref<Sequence> view = call.heap.make<Sequence>(row);
  for (const auto& [key, value] : call.subject.dict().entries) {
    view->push(row == Row::keys ? key : row == Row::values ? value : pair_of(call.heap, key, value));
  }
  view->origin = call.subject.dict().origin;
  return view;
}

Value get_of_dict(const Call& call) {
  const auto [key, otherwise, a, b, c, d] = call.bind({"key", "default"}, 1);
  check(call.named.empty(), ErrorKind::invalid, "dict.get() takes no keyword arguments");
  const Value* found = call.subject.dict().find(*key);
  return found ? *found : otherwise ? *otherwise : Value::none();
}

Value copy_of_dict(const Call& call) {
  (void)call.bind({});
  const Ref<Dict> copy = call.heap.make<Dict>();
  copy->origin = call.subject.dict().origin;
  copy->message = call.subject.dict().message;
  for (const auto& [key, value] : call.subject.dict().entries) copy->set(key, value);
  return copy;
}

Value copy_of_list(const Call& call) {
  (void)call.bind({});
  const Ref<Sequence> copy = call.heap.make<Sequence>();
  for (const Value& item : call.subject.sequence().items) copy->push(item);
  return copy;
}

Value count_of_list(const Call& call) {
  const auto [wanted, a, b, c, d, e] = call.bind({"value"}, 1);
  const Array<Value>& items = call.subject.sequence().items;
  call.heap.work(static_cast<int64_t>(items.size()));
  return static_cast<int64_t>(std::count_if(
      items.begin(), items.end(), [&value = *wanted](const Value& item) { return equal(item, value); }));
}

Value index_of_list(const Call& call) {
  const auto [wanted, a, b, c, d, e] = call.bind({"value"}, 1);
  const Array<Value>& items = call.subject.sequence().items;
  call.heap.work(static_cast<int64_t>(items.size()));
  const auto found = std::find_if(items.begin(), items.end(),
                                  [&value = *wanted](const Value& item) { return equal(item, value); });
  check(found != items.end(), ErrorKind::invalid, "the value is not in the list");
  return static_cast<int64_t>(found - items.begin());
}

constexpr Method dict_methods[] = {{"copy", copy_of_dict},
                                   {"get", get_of_dict},
                                   {"items", view_of_dict<Row::items>},
                                   {"keys", view_of_dict<Row::keys>},
                                   {"values", view_of_dict<Row::values>}};
constexpr Method list_methods[] = {
    {"copy", copy_of_list}, {"count", count_of_list}, {"index", index_of_list}};
constexpr Method tuple_methods[] = {{"count", count_of_list}, {"index", index_of_list}};

constexpr std::string_view changing_dict[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view changing_list[] = {"append", "clear",  "extend",  "insert",
                                              "pop",    "remove", "reverse", "sort"};
constexpr std::string_view other_text[] = {"casefold",  "encode",       "expandtabs",  "format_map",
                                           "isascii",   "isidentifier", "isprintable", "istitle",
                                           "maketrans", "translate"};
constexpr std::string_view other_dict[] = {"fromkeys"};
constexpr std::string_view other_number[] = {
    "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator",
    "from_bytes",       "fromhex",   "hex",        "imag",      "is_integer",
    "numerator",        "real",      "to_bytes"};

bool among(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

FoundAttribute among_methods(std::span<const Method> methods, std::string_view name) {
  for (const Method& method : methods) {
    if (method.name == name) return {Attribute::method, &method};
  }
  return {};
}

}  // namespace

FoundAttribute find_method(const Value& value, std::string_view name) {
  switch (value.kind()) {
    case Kind::text:
      if (const Method* method = text_method(name)) return {Attribute::method, method};
      return {among(other_text, name) ? Attribute::unsupported : Attribute::none, nullptr};
    case Kind::dict:
      if (among(changing_dict, name)) return {Attribute::unsafe, nullptr};
      if (among(other_dict, name)) return {Attribute::unsupported, nullptr};
      return among_methods(dict_methods, name);
    case Kind::sequence:
      if (value.sequence().row == Row::list) {
        if (among(changing_list, name)) return {Attribute::unsafe, nullptr};
        return among_methods(list_methods, name);
      }
      if (value.sequence().row == Row::tuple || value.sequence().row == Row::range)
        return among_methods(tuple_methods, name);
      return {};
    case Kind::boolean:
    case Kind::integer:
    case Kind::digits:
    case Kind::real:
      return {among(other_number, name) ? Attribute::unsupported : Attribute::none, nullptr};
    default:
      return {};
  }
}

}  // namespace lowrank::jinja
