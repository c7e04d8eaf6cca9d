#pragma once

#include <cstdint>
#include <span>

#include "data/batch.h"

namespace lowrank {

/// The sequences [begin, end) of a batch as a separate batch, with the targets that their rows predict.
/// Errors: invalid if any sequence of the batch continues another.
Batch part_of(const Batch& batch, int64_t begin, int64_t end);

/// Gives the examples that the batch knows as 0, 1, … the numbers of `indices` (`Batch::examples` and those
/// of its targets), for batches that are made of a few examples of a data set.
void renumber(Batch& batch, std::span<const int64_t> indices);

/// Appends the sequences of `part` to `batch`; those that continue others go on doing so.
void append(Batch& batch, const Batch& part);

/// The batch's sequences, stably sorted by adapter (`Batch::adapters`). Errors: as part_of.
Batch sorted_by_adapter(const Batch& batch);

}  // namespace lowrank
