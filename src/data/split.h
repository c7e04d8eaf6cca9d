#pragma once

#include <cstdint>
#include <utility>

#include "data/dataset.h"

namespace lowrank {

/// Splits off a share of the examples for evaluation, chosen by the seed; both parts keep the file's order.
/// Errors: invalid when one of the parts would be empty.
std::pair<Dataset, Dataset> split_dataset(Dataset dataset, double evaluation_share, uint64_t seed);

}  // namespace lowrank
