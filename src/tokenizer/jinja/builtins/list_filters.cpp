#include <algorithm>
#include <array>

#include "base/error.h"
#include "tokenizer/jinja/builtins/filters.h"
#include "tokenizer/jinja/builtins/lookup.h"
#include "tokenizer/jinja/builtins/sort_keys.h"
#include "tokenizer/jinja/values/comparison.h"
#include "tokenizer/jinja/values/numbers.h"
#include "tokenizer/jinja/values/printing.h"
#include "tokenizer/jinja/values/string_functions.h"

namespace lowrank::jinja {
namespace {

Value join_filter(const Call& call) {
  const auto [separator, attribute, a, b, c, d] = call.bind({"d", "attribute"});
  const Value between = separator ? as_text(call.heap, *separator) : text_value(call.heap, "");
  const Ref<Sequence> items = items_of(call.heap, call.subject);
  Text result(call.heap);
  for (size_t i = 0; i < items->items.size(); ++i) {
    if (i > 0) result.append(between.text());
    const bool whole = !attribute || attribute->is_none();
    print(result, whole ? items->items[i] : path_of(call.heap, items->items[i], *attribute));
  }
  return text_value(std::move(result));
}

Value list(const Call& call) {
  (void)call.bind({});
  const Ref<Sequence> items = items_of(call.heap, call.subject);
  const Ref<Sequence> copy = call.heap.make<Sequence>();
  for (const Value& item : items->items) copy->push(item);
  if (call.subject.object()) copy->origin = call.subject.object()->origin;
  return copy;
}

Value items(const Call& call) {
  (void)call.bind({});
  const Ref<Sequence> pairs = call.heap.make<Sequence>(Row::generator);
  if (call.subject.is_undefined()) return pairs;
  check(call.subject.is(Kind::dict), ErrorKind::invalid, "Can only get item pairs from a mapping.");
  for (const auto& [key, value] : call.subject.dict().entries) pairs->push(pair_of(call.heap, key, value));
  return pairs;
}

Value first(const Call& call) {
  (void)call.bind({});
  if (call.subject.is(Kind::sequence)) {
    Sequence& sequence = call.subject.sequence();
    if (sequence.items.empty()) return {};
    const Value result = sequence.items.front();
    if (sequence.row == Row::generator) sequence.items.erase(sequence.items.begin());
    return result;
  }
  if (call.subject.is_text()) {
    if (call.subject.text().empty()) return {};
    Text character = slice_text(call.subject.text(), 0, 1, 1);
    character.markup = false;
    return text_value(std::move(character));
  }
  const Ref<Sequence> list = items_of(call.heap, call.subject);
  return list->items.empty() ? Value() : list->items.front();
}

Value last(const Call& call) {
  (void)call.bind({});
  check(!call.subject.is(Kind::sequence) || call.subject.sequence().row != Row::generator, ErrorKind::invalid,
        "'generator' object is not reversible");
  if (call.subject.is_undefined()) return {};
  const Ref<Sequence> list = items_of(call.heap, call.subject);
  return list->items.empty() ? Value() : list->items.back();
}

Value reverse(const Call& call) {
  (void)call.bind({});
  if (call.subject.is_text()) return text_value(slice_text(call.subject.text(), {}, {}, -1));
  const Ref<Sequence> list = items_of(call.heap, call.subject);
  const Ref<Sequence> result = call.heap.make<Sequence>(Row::generator);
  for (auto item = list->items.rbegin(); item != list->items.rend(); ++item) result->push(*item);
  return result;
}

Value sum(const Call& call) {
  const auto [attribute, start, a, b, c, d] = call.bind({"attribute", "start"});
  const Ref<Sequence> list = items_of(call.heap, call.subject);
  Value total = start ? *start : Value(0);
  for (const Value& item : list->items) {
    call.heap.work(1);
    const Value term = attribute && !attribute->is_none() ? path_of(call.heap, item, *attribute) : item;
    check(!total.is(Kind::sequence), ErrorKind::unsupported, "the sum of lists is not supported");
    total = arithmetic(Operation::add, total, term);
  }
  return total;
}

Value sort(const Call& call) {
  const auto [backwards, case_sensitive, attribute, a, b, c] =
      call.bind({"reverse", "case_sensitive", "attribute"});
  const Ref<Sequence> list = items_of(call.heap, call.subject);
  return sorted(call.heap, *list, {attribute, case_sensitive && case_sensitive->truthy(), true},
                backwards && backwards->truthy());
}

Value dict_sort(const Call& call) {
  const auto [case_sensitive, by, backwards, a, b, c] = call.bind({"case_sensitive", "by", "reverse"});
  check(call.subject.is(Kind::dict), ErrorKind::invalid, "dictsort needs a dict, not '{}'",
        type_name(call.subject.kind()));
  const std::string_view what = by ? text_argument(*by, call.function, "by").view() : "key";
  check(what == "key" || what == "value", ErrorKind::invalid,
        "You can only sort by either \"key\" or \"value\"");
  const Ref<Sequence> pairs = call.heap.make<Sequence>();
  for (const auto& [key, value] : call.subject.dict().entries) pairs->push(pair_of(call.heap, key, value));
  const Value place(what == "key" ? 0 : 1);
  return sorted(call.heap, *pairs, {&place, case_sensitive && case_sensitive->truthy(), false},
                backwards && backwards->truthy());
}

Value unique(const Call& call) {
  const auto [case_sensitive, attribute, a, b, c, d] = call.bind({"case_sensitive", "attribute"});
  const SortKey key{attribute, case_sensitive && case_sensitive->truthy(), false};
  const Ref<Sequence> list = items_of(call.heap, call.subject);
  const Ref<Sequence> result = call.heap.make<Sequence>(Row::generator);
  const Ref<Dict> seen = call.heap.make<Dict>();
  for (const Value& item : list->items) {
    const Value found = key_of(call.heap, item, key);
    if (seen->find(found)) continue;
    seen->set(found, true);
    result->push(item);
  }
  return result;
}

template <bool largest>
Value extreme(const Call& call) {
  const auto [case_sensitive, attribute, a, b, c, d] = call.bind({"case_sensitive", "attribute"});
  const SortKey key{attribute, case_sensitive && case_sensitive->truthy(), false};
  const Ref<Sequence> list = items_of(call.heap, call.subject);
  if (list->items.empty()) return {};
  Value best = list->items.front(), best_key = key_of(call.heap, best, key);
  for (size_t i = 1; i < list->items.size(); ++i) {
    Value other = key_of(call.heap, list->items[i], key);
    call.heap.work(1);
    const int compared = order(other, best_key, largest ? ">" : "<");
    if (largest ? compared != 1 : compared != -1) continue;
    best = list->items[i];
    best_key = std::move(other);
  }
  return best;
}

Value batch(const Call& call) {
  const auto [line_count, fill, a, b, c, d] = call.bind({"linecount", "fill_with"}, 1);
  const int64_t size = whole_argument(*line_count, call.function, "linecount");
  const Ref<Sequence> list = items_of(call.heap, call.subject);
  const Ref<Sequence> result = call.heap.make<Sequence>(Row::generator);
  Ref<Sequence> line = call.heap.make<Sequence>();
  for (const Value& item : list->items) {
    if (static_cast<int64_t>(line->items.size()) == size) {
      result->push(line);
      line = call.heap.make<Sequence>();
    }
    line->push(item);
  }
  if (line->items.empty()) return result;
  while (fill && !fill->is_none() && static_cast<int64_t>(line->items.size()) < size) line->push(*fill);
  result->push(line);
  return result;
}

Value slice(const Call& call) {
  const auto [slices, fill, a, b, c, d] = call.bind({"slices", "fill_with"}, 1);
  const int64_t count = whole_argument(*slices, call.function, "slices");
  check(count > 0 && count <= call.heap.limits().range, ErrorKind::invalid,
        "a number of slices from 1 to {} is needed", call.heap.limits().range);
  const Ref<Sequence> list = items_of(call.heap, call.subject);
  const auto length = static_cast<int64_t>(list->items.size());
  const Ref<Sequence> result = call.heap.make<Sequence>(Row::generator);
  int64_t at = 0;
  for (int64_t i = 0; i < count; ++i) {
    const Ref<Sequence> part = call.heap.make<Sequence>();
    const int64_t end = at + length / count + (i < length % count ? 1 : 0);
    for (; at < end; ++at) part->push(list->items[static_cast<size_t>(at)]);
    if (fill && !fill->is_none() && i >= length % count) part->push(*fill);
    result->push(part);
  }
  return result;
}

/// Pairs of a value and the items that have it; jinja2's are tuples with names.
Value group_by(const Call& call) {
  const auto [attribute, otherwise, case_sensitive, a, b, c] =
      call.bind({"attribute", "default", "case_sensitive"}, 1);
  const Ref<Sequence> list = items_of(call.heap, call.subject);
  const SortKey key{attribute, case_sensitive && case_sensitive->truthy(), false, otherwise};
  const Value ordered = sorted(call.heap, *list, key, false);
  const Ref<Sequence> result = call.heap.make<Sequence>();
  Ref<Sequence> group;
  Value group_key;
  for (const Value& item : ordered.sequence().items) {
    Value found = key_of(call.heap, item, key);
    if (!group || !equal(found, group_key)) {
      group = call.heap.make<Sequence>();
      result->push(pair_of(call.heap, path_of(call.heap, item, *attribute, otherwise), group));
      group_key = std::move(found);
    }
    group->push(item);
  }
  return result;
}

constexpr std::array filters = {
    Filter{"batch", batch},       Filter{"dictsort", dict_sort},
    Filter{"first", first},       Filter{"groupby", group_by},
    Filter{"items", items},       Filter{"join", join_filter},
    Filter{"last", last},         Filter{"list", list},
    Filter{"max", extreme<true>}, Filter{"min", extreme<false>},
    Filter{"reverse", reverse},   Filter{"slice", slice},
    Filter{"sort", sort},         Filter{"sum", sum},
    Filter{"unique", unique},
};

}  // namespace

std::span<const Filter> list_filters() {
  return filters;
}

}  // namespace lowrank::jinja
