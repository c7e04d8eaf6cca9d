#include "data/examples/example_arrays.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace lowrank {
namespace {

int32_t narrow(int64_t value) {
  check(value >= std::numeric_limits<int32_t>::min() && value <= std::numeric_limits<int32_t>::max(),
        ErrorKind::invalid, "an example has the token, label, adapter or length {}, beyond 32 bits", value);
  return static_cast<int32_t>(value);
}

std::vector<int32_t> narrow(const std::vector<int64_t>& values) {
  std::vector<int32_t> narrowed(values.size());
  std::ranges::transform(values, narrowed.begin(), [](int64_t value) { return narrow(value); });
  return narrowed;
}

/// Whether every label is that of a target's own token or of no target.
bool labels_are_tokens(const Example& example) {
  for (size_t i = 0; i < example.labels.size(); ++i) {
    if (example.labels[i] != no_target && example.labels[i] != example.tokens[i]) return false;
  }
  return example.labels.size() == example.tokens.size();
}

std::vector<int32_t> runs_of(const std::vector<int64_t>& labels) {
  std::vector<int32_t> runs;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] == no_target) continue;
    const bool goes_on = i > 0 && labels[i - 1] != no_target;
    if (!goes_on) runs.insert(runs.end(), 2, static_cast<int32_t>(i));
    runs.back() = static_cast<int32_t>(i + 1);
  }
  return runs;
}

}  // namespace

PackedExample packed(const Example& example) {
  PackedExample packed;
  packed.tokens = narrow(example.tokens);
  packed.record.line = example.line;
  packed.record.length = narrow(example.length);
  packed.record.adapter = narrow(example.adapter);
  packed.record.has_label = example.label ? 1 : 0;
  packed.record.label = example.label.value_or(0);
  packed.record.type_one_tokens = example.type_one_tokens;
  if (!example.classes.empty()) {
    packed.record.labels = StoredLabels::classes;
    packed.marks = narrow(example.classes);
    return packed;
  }
  if (example.labels.empty()) return packed;
  const bool runs = labels_are_tokens(example);
  check(runs || example.labels.size() == example.tokens.size(), ErrorKind::invalid,
        "an example has {} labels for {} tokens", example.labels.size(), example.tokens.size());
  packed.record.labels = runs ? StoredLabels::runs : StoredLabels::own;
  packed.marks = runs ? runs_of(example.labels) : narrow(example.labels);
  return packed;
}

Example unpacked(const ExampleArrays& arrays, int64_t index) {
  const StoredExample& record = arrays.records[index];
  const std::span<const int32_t> tokens = arrays.tokens_of(index), marks = arrays.marks_of(index);
  Example example{{tokens.begin(), tokens.end()}, {}, record.line};
  if (record.has_label != 0) example.label = record.label;
  example.length = record.length;
  example.adapter = record.adapter;
  example.type_one_tokens = record.type_one_tokens;
  if (record.labels == StoredLabels::classes) example.classes.assign(marks.begin(), marks.end());
  if (record.labels == StoredLabels::own) example.labels.assign(marks.begin(), marks.end());
  if (record.labels == StoredLabels::runs) {
    example.labels.assign(tokens.size(), no_target);
    for (size_t run = 0; run + 1 < marks.size(); run += 2)
      std::copy(tokens.begin() + marks[run], tokens.begin() + marks[run + 1],
                example.labels.begin() + marks[run]);
  }
  return example;
}

}  // namespace lowrank
