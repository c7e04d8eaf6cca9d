#pragma once

#include <vector>

#include "kernels/core/op_profile.h"

namespace lowrank {

/// Computes the products once, in order, and discards the results; returns the seconds.
double replay(const std::vector<RecordedProduct>& products);

}  // namespace lowrank
