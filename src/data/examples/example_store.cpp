#include "data/examples/example_store.h"

#include <algorithm>
#include <atomic>

namespace lowrank {

/// How many bytes of a mapped file may have been read since its pages were dropped.
struct ExampleStore::Touched {
  std::atomic<int64_t> bytes = 0;
};

ExampleStore::ExampleStore(std::shared_ptr<const ExampleStorage> storage)
    : storage_(std::move(storage)), touched_(std::make_shared<Touched>()), arrays_(storage_->arrays()) {}

ExampleStore ExampleStore::in_memory(std::span<const Example> examples) {
  const auto storage = std::make_shared<ExamplesInMemory>();
  for (const Example& example : examples) storage->append(packed(example));
  return ExampleStore(storage);
}

void ExampleStore::touch(int64_t index) const {
  // An example takes at least a page of each array, wherever it lies.
  constexpr int64_t pages = 3 * 4096, most = 32 << 20;
  const int64_t bytes =
      pages + 4 * (std::ssize(arrays_.tokens_of(index)) + std::ssize(arrays_.marks_of(index)));
  if (touched_->bytes.fetch_add(bytes, std::memory_order_relaxed) >= most) {
    touched_->bytes.store(0, std::memory_order_relaxed);
    storage_->forget_pages();
  }
  storage_->check_example(index);
}

int64_t ExampleStore::token_count() const {
  if (!chosen_) return std::ssize(arrays_.tokens);
  int64_t count = 0;
  for (const int64_t index : *chosen_) count += std::ssize(arrays_.tokens_of(index));
  return count;
}

std::vector<int32_t> ExampleStore::lengths() const {
  std::vector<int32_t> lengths(size());
  for (int64_t index = 0; index < std::ssize(*this); ++index)
    lengths[index] = static_cast<int32_t>(arrays_.tokens_of(place(index)).size());
  if (storage_) storage_->forget_pages();
  return lengths;
}

Example ExampleStore::operator[](int64_t index) const {
  touch(place(index));
  return unpacked(arrays_, place(index));
}

std::vector<Example> ExampleStore::at(std::span<const int64_t> indices) const {
  std::vector<Example> examples;
  examples.reserve(indices.size());
  for (const int64_t index : indices) examples.push_back((*this)[index]);
  return examples;
}

std::span<const int32_t> ExampleStore::tokens(int64_t index) const {
  touch(place(index));
  return arrays_.tokens_of(place(index));
}

int64_t ExampleStore::prompt_length(int64_t index) const {
  const int64_t stored = place(index);
  touch(stored);
  const std::span<const int32_t> marks = arrays_.marks_of(stored);
  switch (arrays_.records[stored].labels) {
    case StoredLabels::runs:
      return marks.empty() ? std::ssize(arrays_.tokens_of(stored)) : marks.front();
    case StoredLabels::own:
      return std::ranges::find_if(marks, [](int32_t label) { return label != no_target; }) - marks.begin();
    case StoredLabels::none:
    case StoredLabels::classes:
      break;
  }
  return 0;
}

ExampleStore ExampleStore::selected(std::vector<int64_t> indices) const {
  for (int64_t& index : indices) index = place(index);
  ExampleStore part = *this;
  part.chosen_ = std::make_shared<const std::vector<int64_t>>(std::move(indices));
  return part;
}

void ExamplesInMemory::append(const PackedExample& example) {
  StoredExample record = example.record;
  record.tokens = std::ssize(tokens_);
  record.marks = std::ssize(marks_);
  tokens_.insert(tokens_.end(), example.tokens.begin(), example.tokens.end());
  marks_.insert(marks_.end(), example.marks.begin(), example.marks.end());
  records_.back() = record;
  StoredExample end;
  end.tokens = std::ssize(tokens_);
  end.marks = std::ssize(marks_);
  records_.push_back(end);
}

}  // namespace lowrank
