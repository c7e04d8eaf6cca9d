#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/examples/example.h"

namespace lowrank {

/// How the labels of a stored example are held.
enum class StoredLabels : uint32_t {
  runs,     ///< `marks` has the runs of targets, each as first token and end; their labels are the tokens
  own,      ///< `marks` has the labels themselves, one per token
  none,     ///< the example has no labels
  classes,  ///< `marks` has the numbers of the example's classes
};

/// What is stored of an example beside its tokens and marks. They end where those of the next one begin; one
/// more record than there are examples ends the last.
struct StoredExample {
  int64_t tokens = 0, marks = 0;  ///< index of the first one
  int64_t line = 0;
  double label = 0;
  int32_t length = 0;
  int32_t adapter = no_adapter;
  StoredLabels labels = StoredLabels::none;
  uint32_t has_label = 0;
  int64_t type_one_tokens = 0;
};
static_assert(sizeof(StoredExample) == 56, "a file format: no padding, no other sizes");

/// Examples as three arrays, which lie in memory or in a mapped file.
struct ExampleArrays {
  std::span<const StoredExample> records;  ///< one more than examples
  std::span<const int32_t> tokens, marks;

  int64_t count() const { return records.empty() ? 0 : std::ssize(records) - 1; }
  std::span<const int32_t> tokens_of(int64_t index) const {
    return tokens.subspan(records[index].tokens, records[index + 1].tokens - records[index].tokens);
  }
  std::span<const int32_t> marks_of(int64_t index) const {
    return marks.subspan(records[index].marks, records[index + 1].marks - records[index].marks);
  }
};

/// An example in the form of the arrays, to be appended to them.
struct PackedExample {
  StoredExample record;  ///< `tokens` and `marks` are 0
  std::vector<int32_t> tokens, marks;
};

/// Errors: invalid for ids or lengths beyond 32 bits.
PackedExample packed(const Example& example);

/// The example with this index.
Example unpacked(const ExampleArrays& arrays, int64_t index);

}  // namespace lowrank
