#include "data/batch_parts.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace lowrank {
namespace {

template <class T>
std::vector<T> slice(const std::vector<T>& all, int64_t begin, int64_t end) {
  if (all.empty()) return {};
  return {all.begin() + begin, all.begin() + end};
}

template <class T>
void add(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

/// Per-sequence values, with `usual(s)` for those that a batch lacks.
template <class Usual>
std::vector<int64_t> filled(const std::vector<int64_t>& values, const Batch& batch, const Usual& usual) {
  std::vector<int64_t> all = values;
  for (int64_t s = std::ssize(all); s < batch.sequences(); ++s) all.push_back(usual(s));
  return all;
}

/// Appends the values of the part's sequences to those of the batch, unless neither has any.
template <class Usual>
void add(std::vector<int64_t> Batch::*values, Batch& batch, const Batch& part, const Usual& usual) {
  if ((batch.*values).empty() && (part.*values).empty()) return;
  batch.*values = filled(batch.*values, batch, [&](int64_t s) { return usual(batch, s); });
  add(batch.*values, filled(part.*values, part, [&](int64_t s) { return usual(part, s); }));
}

void check_alone(const Batch& batch) {
  const bool alone = std::ranges::all_of(batch.parents, [](int64_t parent) { return parent == no_parent; });
  check(alone, ErrorKind::invalid, "sequences that continue others cannot be taken out of their batch");
}

}  // namespace

Batch part_of(const Batch& batch, int64_t begin, int64_t end) {
  check_alone(batch);
  const int64_t first = batch.offsets[begin], last = batch.offsets[end];
  Batch part;
  part.tokens = slice(batch.tokens, first, last);
  part.positions = slice(batch.positions, first, last);
  part.offsets = slice(batch.offsets, begin, end + 1);
  for (int64_t& offset : part.offsets) offset -= first;
  part.examples = slice(batch.examples, begin, end);
  part.prompt_rows = slice(batch.prompt_rows, begin, end);
  part.first_labels = slice(batch.first_labels, begin, end);
  part.adapters = slice(batch.adapters, begin, end);
  part.type_one_tokens = slice(batch.type_one_tokens, begin, end);
  const Targets& targets = batch.targets;
  part.targets.values = slice(targets.values, begin, end);
  part.targets.classes = slice(targets.classes, begin, end);
  if (!targets.values.empty()) {
    part.targets.weights = slice(targets.weights, begin, end);
    return part;
  }
  for (size_t i = 0; i < targets.rows.size(); ++i) {
    if (targets.rows[i] < first || targets.rows[i] >= last) continue;
    part.targets.rows.push_back(targets.rows[i] - first);
    part.targets.tokens.push_back(targets.tokens[i]);
    part.targets.weights.push_back(targets.weights[i]);
    if (!targets.examples.empty()) part.targets.examples.push_back(targets.examples[i]);
  }
  return part;
}

void renumber(Batch& batch, std::span<const int64_t> indices) {
  for (std::vector<int64_t>* numbers : {&batch.examples, &batch.targets.examples})
    for (int64_t& number : *numbers) number = indices[number];
}

void append(Batch& batch, const Batch& part) {
  const auto length = [](const Batch& of, int64_t s) { return of.offsets[s + 1] - of.offsets[s]; };
  if (!batch.parents.empty() || !part.parents.empty()) {
    batch.parents.resize(batch.sequences(), no_parent);
    for (int64_t s = 0; s < part.sequences(); ++s) {
      const int64_t parent = part.parents.empty() ? no_parent : part.parents[s];
      batch.parents.push_back(parent == no_parent ? no_parent : parent + batch.sequences());
    }
  }
  add(&Batch::prompt_rows, batch, part, length);
  add(&Batch::first_labels, batch, part, [](const Batch&, int64_t) { return no_target; });
  add(&Batch::adapters, batch, part, [](const Batch&, int64_t) { return no_adapter; });
  add(&Batch::type_one_tokens, batch, part, [](const Batch&, int64_t) { return int64_t{0}; });
  const int64_t first = batch.token_count();
  if (batch.offsets.empty()) batch.offsets.push_back(0);
  add(batch.tokens, part.tokens);
  add(batch.positions, part.positions);
  for (int64_t s = 0; s < part.sequences(); ++s) batch.offsets.push_back(first + part.offsets[s + 1]);
  add(batch.examples, part.examples);
  for (const int64_t row : part.targets.rows) batch.targets.rows.push_back(first + row);
  add(batch.targets.tokens, part.targets.tokens);
  add(batch.targets.examples, part.targets.examples);
  add(batch.targets.values, part.targets.values);
  add(batch.targets.classes, part.targets.classes);
  add(batch.targets.weights, part.targets.weights);
}

Batch sorted_by_adapter(const Batch& batch) {
  std::vector<int64_t> order(batch.sequences());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, [&](int64_t s) { return batch.adapters[s]; });
  Batch sorted;
  for (const int64_t s : order) append(sorted, part_of(batch, s, s + 1));
  return sorted;
}

}  // namespace lowrank
