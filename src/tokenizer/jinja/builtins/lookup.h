#pragma once

#include <string>

#include "tokenizer/jinja/values/value.h"

namespace lowrank::jinja {

/// jinja2's `object.name`: a method or attribute, else the key; undefined if there is neither. `name`
/// outlives the render. Errors: invalid when the object is undefined; unsupported for a method of Python that
/// is not here.
Value attribute_of(Heap& heap, const Value& object, const std::string& name);

/// jinja2's `object[key]`: the item, else the method or attribute of that name; `name` as above, or null.
Value item_of(Heap& heap, const Value& object, const Value& key, const std::string* name = nullptr);

/// `attribute='a.b.0'` of a filter: the parts one after the other, numbers as indices. `otherwise` (may be
/// null) takes the place of each part that does not exist.
Value path_of(Heap& heap, const Value& object, const Value& path, const Value* otherwise = nullptr);

}  // namespace lowrank::jinja
