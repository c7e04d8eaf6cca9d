#pragma once

#include <cstdint>
#include <span>

namespace lowrank {

/// Pearson correlation of predictions and labels; 0 if either is constant or there are fewer than two.
double correlation(std::span<const double> predicted, std::span<const double> labels);

}  // namespace lowrank
