#pragma once

#include <span>
#include <vector>

#include "data/batch.h"

namespace lowrank {

/// The texts of all rows as sequences, in order; `Batch::groups` says which belong to a row. Nothing in it is
/// a target. `numbers`: those of the examples in their data set.
Batch make_text_batch(std::span<const Example> rows, std::span<const int64_t> numbers);

/// The batch's texts in parts of at most `most`, in order, without their groups.
std::vector<Batch> text_parts(const Batch& batch, int64_t most);

}  // namespace lowrank
