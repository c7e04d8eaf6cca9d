#pragma once

#include <concepts>
#include <cstdint>
#include <iterator>
#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <vector>

#include "data/examples/example_arrays.h"

namespace lowrank {

/// Where the arrays of a store are: owns them, and knows how to give memory back.
struct ExampleStorage {
  virtual ~ExampleStorage() = default;
  virtual ExampleArrays arrays() const = 0;
  /// Lets the system drop what has been read of a file; nothing where the arrays are in memory.
  virtual void forget_pages() const {}
  /// Called before an example is read. Errors: corrupt for an example that a file holds damaged.
  virtual void check_example(int64_t) const {}
  /// The fingerprint of all examples (`add_to`) where it is known without reading them; else empty.
  virtual std::string contents() const { return {}; }
};

/// The examples of a data set, in order, in a compact form: 4 bytes per token and 8 per run of targets. It
/// never changes; copies share what is stored, as do selections. An example is made when it is asked for.
/// Reading from several threads is safe.
class ExampleStore {
 public:
  class Iterator;

  ExampleStore() = default;
  explicit ExampleStore(std::shared_ptr<const ExampleStorage> storage);

  /// A store of given examples. Not explicit: whatever takes a store takes a few examples just as well.
  template <std::ranges::contiguous_range Range>
  requires std::same_as<std::ranges::range_value_t<Range>, Example> ExampleStore(const Range& examples)
      : ExampleStore(in_memory({std::data(examples), std::size(examples)})) {}

  size_t size() const { return static_cast<size_t>(chosen_ ? std::ssize(*chosen_) : arrays_.count()); }
  bool empty() const { return size() == 0; }
  /// The tokens of all examples.
  int64_t token_count() const;

  /// An index is below size(). Errors of all that read examples: corrupt for a damaged file.
  Example operator[](int64_t index) const;
  Example front() const { return (*this)[0]; }
  std::vector<Example> at(std::span<const int64_t> indices) const;

  std::span<const int32_t> tokens(int64_t index) const;
  int64_t line(int64_t index) const { return arrays_.records[place(index)].line; }
  int64_t adapter(int64_t index) const { return arrays_.records[place(index)].adapter; }
  /// The number of tokens of every example.
  std::vector<int32_t> lengths() const;
  /// Tokens before the first target; 0 if there is none and no labels.
  int64_t prompt_length(int64_t index) const;

  /// The fingerprint of the examples (`add_to`) if it is known without reading them; else empty.
  std::string contents() const { return storage_ && !chosen_ ? storage_->contents() : std::string(); }

  /// The examples with these indices, in their order.
  ExampleStore selected(std::vector<int64_t> indices) const;

  Iterator begin() const;
  Iterator end() const;

 private:
  static ExampleStore in_memory(std::span<const Example> examples);
  int64_t place(int64_t index) const { return chosen_ ? (*chosen_)[index] : index; }
  void touch(int64_t index) const;

  struct Touched;
  std::shared_ptr<const ExampleStorage> storage_;
  std::shared_ptr<const std::vector<int64_t>> chosen_;  ///< null: all
  std::shared_ptr<Touched> touched_;
  ExampleArrays arrays_;
};

/// Makes the examples one after the other.
class ExampleStore::Iterator {
 public:
  using iterator_concept = std::forward_iterator_tag;
  using iterator_category = std::input_iterator_tag;
  using value_type = Example;
  using difference_type = std::ptrdiff_t;
  using pointer = void;
  using reference = Example;

  Iterator() = default;
  Iterator(const ExampleStore& store, int64_t index) : store_(&store), index_(index) {}

  Example operator*() const { return (*store_)[index_]; }
  Iterator& operator++() {
    ++index_;
    return *this;
  }
  Iterator operator++(int) {
    const Iterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const Iterator& other) const { return index_ == other.index_; }

 private:
  const ExampleStore* store_ = nullptr;
  int64_t index_ = 0;
};

inline ExampleStore::Iterator ExampleStore::begin() const {
  return {*this, 0};
}
inline ExampleStore::Iterator ExampleStore::end() const {
  return {*this, std::ssize(*this)};
}

/// Examples in memory, appended one by one.
class ExamplesInMemory final : public ExampleStorage {
 public:
  ExamplesInMemory() : records_(1) {}
  void append(const PackedExample& example);
  ExampleArrays arrays() const override { return {records_, tokens_, marks_}; }

 private:
  std::vector<StoredExample> records_;
  std::vector<int32_t> tokens_, marks_;
};

}  // namespace lowrank
