#pragma once

#include <cstdint>
#include <optional>

#include "data/examples/example.h"

namespace lowrank {

struct WeightedExamples;

/// The examples of rows that another thread is still reading. It is known how many rows there are, and each
/// can be read on its own.
struct EarlyExamples {
  virtual ~EarlyExamples() = default;

  /// Their number, also of those that are no examples.
  virtual int64_t rows() const = 0;
  /// The example of a row; nothing for one that is left out. Errors: those of reading the row, which `wait`
  /// has, too, with those of other rows.
  virtual std::optional<Example> example(int64_t row) = 0;
  /// All of them, once they have been read; null before, and where a stop has kept it from happening. Errors:
  /// those of reading.
  virtual const WeightedExamples* whole() = 0;
  /// Waits for that. Errors: those of reading; interrupted.
  virtual const WeightedExamples& wait() = 0;
};

}  // namespace lowrank
