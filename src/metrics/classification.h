#pragma once

#include <span>
#include <string>
#include <string_view>

namespace lowrank::metrics {

/// Scores of predicted labels, as scikit-learn computes them. Labels are equal if their text is. Errors of
/// all: invalid when there are no labels or not as many predictions.

/// The share of predictions that are the label (accuracy_score).
double accuracy(std::span<const std::string> predicted, std::span<const std::string> labels);
/// The same for classes as numbers.
double accuracy(std::span<const double> predicted, std::span<const double> labels);

/// F1 of one of two labels (f1_score): 2 tp / (2 tp + fp + fn), 0 where that has no value. Errors: invalid
/// when there are more than two labels, or two without the positive one.
double f1(std::span<const std::string> predicted, std::span<const std::string> labels,
          std::string_view positive = "1");

/// The mean of the labels' F1 (average="macro"), over all labels that occur in either list.
double f1_macro(std::span<const std::string> predicted, std::span<const std::string> labels);

/// F1 of the sums over labels of tp, fp and fn (average="micro").
double f1_micro(std::span<const std::string> predicted, std::span<const std::string> labels);

/// Matthews' correlation for any number of labels (matthews_corrcoef); 0 where all labels, or all
/// predictions, are the same.
double matthews(std::span<const std::string> predicted, std::span<const std::string> labels);

}  // namespace lowrank::metrics
