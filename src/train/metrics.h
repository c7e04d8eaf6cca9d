#pragma once

#include <span>

namespace lowrank {

/// Fraction of examples whose predicted class is the label.
double accuracy(std::span<const double> predicted, std::span<const double> labels);

/// Pearson correlation of predictions and labels; 0 if either is constant.
double correlation(std::span<const double> predicted, std::span<const double> labels);

}  // namespace lowrank
