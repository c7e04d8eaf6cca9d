#pragma once

#include <cstdint>

#include "text/batch.h"

namespace lowrank {

/// The sequences [begin, end) of a batch as a batch of their own, with the targets that their rows predict.
/// Errors: invalid where one of them continues another.
Batch part_of(const Batch& batch, int64_t begin, int64_t end);

/// Puts the sequences of `part` after those of `batch`. Errors: as part_of.
void append(Batch& batch, const Batch& part);

/// The batch's sequences in the order of their adapters (`Batch::adapters`), those of one adapter as they
/// were. Errors: as part_of.
Batch sorted_by_adapter(const Batch& batch);

}  // namespace lowrank
