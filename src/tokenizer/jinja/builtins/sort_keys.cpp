#include "tokenizer/jinja/builtins/sort_keys.h"

#include <algorithm>

#include "base/text/characters.h"
#include "tokenizer/jinja/builtins/lookup.h"
#include "tokenizer/jinja/values/comparison.h"
#include "tokenizer/jinja/values/string_functions.h"

namespace lowrank::jinja {
namespace {

Value folded(Value value, const SortKey& key) {
  if (key.case_sensitive || !value.is_text()) return value;
  return text_value(changed(value.text(), lower_case));
}

Value single_key(Heap& heap, const Value& item, const Value& attribute, const SortKey& key) {
  return folded(path_of(heap, item, attribute, key.otherwise), key);
}

}  // namespace

Value key_of(Heap& heap, const Value& item, const SortKey& key) {
  const bool whole = !key.attribute || key.attribute->is_none();
  if (!key.several) return whole ? folded(item, key) : single_key(heap, item, *key.attribute, key);
  const Ref<Sequence> keys = heap.make<Sequence>();
  if (whole) {
    keys->push(folded(item, key));
  } else if (!key.attribute->is_text()) {
    keys->push(single_key(heap, item, *key.attribute, key));
  } else {
    const Text comma(heap, ",");
    const Value names = split(key.attribute->text(), &comma, -1);
    for (const Value& name : names.sequence().items) keys->push(single_key(heap, item, name, key));
  }
  return keys;
}

Value sorted(Heap& heap, const Sequence& items, const SortKey& key, bool backwards) {
  struct Entry {
    Value key, item;
  };
  Array<Entry> entries(heap);
  for (const Value& item : items.items) {
    heap.work(8);
    entries.push_back({key_of(heap, item, key), item});
  }
  // A merge sort with temporary memory as large as the list: it survives comparisons that fail.
  heap.take(entries.size() * sizeof(Entry));
  heap.give_back(entries.size() * sizeof(Entry));
  std::stable_sort(entries.begin(), entries.end(), [&](const Entry& a, const Entry& b) {
    heap.work(1);
    return backwards ? order(b.key, a.key) == -1 : order(a.key, b.key) == -1;
  });
  const Ref<Sequence> result = heap.make<Sequence>();
  for (Entry& entry : entries) result->push(std::move(entry.item));
  return result;
}

}  // namespace lowrank::jinja
