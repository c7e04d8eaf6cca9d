#pragma once

#include <span>

namespace lowrank {

/// Share of the rows whose predicted class is the label.
double accuracy(std::span<const double> predicted, std::span<const double> labels);

/// Pearson's correlation of predictions and labels; 0 where one of the two is constant.
double correlation(std::span<const double> predicted, std::span<const double> labels);

}  // namespace lowrank
