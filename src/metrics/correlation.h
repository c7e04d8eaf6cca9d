#pragma once

#include <span>
#include <vector>

namespace lowrank::metrics {

/// Pearson's correlation as scipy's pearsonr: NaN if either list is constant or has a NaN. Errors: invalid
/// when the lists have different lengths or fewer than two numbers.
double pearson(std::span<const double> predicted, std::span<const double> labels);

/// Spearman's correlation as scipy's spearmanr: Pearson's of the ranks, equal numbers having the mean of
/// theirs; NaN as there. Errors: as pearson.
double spearman(std::span<const double> predicted, std::span<const double> labels);

/// Ranks from 1; equal numbers have the mean of theirs. No number may be NaN.
std::vector<double> mean_ranks(std::span<const double> numbers);

}  // namespace lowrank::metrics
