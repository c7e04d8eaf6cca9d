#pragma once

#include <cstdint>
#include <span>

namespace lowrank {

/// Fraction of examples whose predicted class is the label.
double accuracy(std::span<const double> predicted, std::span<const double> labels);

/// The harmonic mean of precision and recall, 2 right / (found + wanted); 1 if nothing is found or wanted.
double f1(int64_t right, int64_t found, int64_t wanted);

/// Pearson correlation of predictions and labels; 0 if either is constant.
double correlation(std::span<const double> predicted, std::span<const double> labels);

}  // namespace lowrank
