#pragma once

#include "tokenizer/jinja/values/value.h"

namespace lowrank::jinja {

/// What items are compared by.
struct SortKey {
  const Value* attribute = nullptr;  ///< name, path or index; null or none: the item itself
  bool case_sensitive = false;       ///< otherwise strings compare in lower case
  bool several = false;              ///< the key is a list, of one or, with commas, more attributes
  const Value* otherwise = nullptr;  ///< where the item lacks the attribute
};

/// The key of an item.
Value key_of(Heap& heap, const Value& item, const SortKey& key);

/// The items in the order of their keys; those with equal keys keep their order, also backwards. Errors:
/// invalid when keys have no order.
Value sorted(Heap& heap, const Sequence& items, const SortKey& key, bool backwards);

}  // namespace lowrank::jinja
