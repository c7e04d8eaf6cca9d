#include "metrics/classification.h"

#include <cmath>
#include <map>

#include <fmt/format.h>

#include "base/error.h"
#include "base/one_line.h"

namespace lowrank::metrics {
namespace {

/// How often a label was given, predicted, and both at once.
struct Counts {
  double labels = 0, predicted = 0, both = 0;

  double f1() const { return labels + predicted > 0 ? 2 * both / (labels + predicted) : 0; }
};

using CountsOfLabels = std::map<std::string_view, Counts>;

void check_sizes(size_t predicted, size_t labels) {
  check(labels > 0, ErrorKind::invalid, "there are no labels to score");
  check(predicted == labels, ErrorKind::invalid, "{} predictions for {} labels: give one for each", predicted,
        labels);
}

CountsOfLabels counts_of(std::span<const std::string> predicted, std::span<const std::string> labels) {
  check_sizes(predicted.size(), labels.size());
  CountsOfLabels counts;
  for (size_t i = 0; i < labels.size(); ++i) {
    counts[labels[i]].labels += 1;
    counts[predicted[i]].predicted += 1;
    if (labels[i] == predicted[i]) counts[labels[i]].both += 1;
  }
  return counts;
}

template <typename Label>
double share_of_equal(std::span<const Label> predicted, std::span<const Label> labels) {
  check_sizes(predicted.size(), labels.size());
  double equal = 0;
  for (size_t i = 0; i < labels.size(); ++i) equal += predicted[i] == labels[i] ? 1 : 0;
  return equal / static_cast<double>(labels.size());
}

}  // namespace

double accuracy(std::span<const std::string> predicted, std::span<const std::string> labels) {
  return share_of_equal(predicted, labels);
}

double accuracy(std::span<const double> predicted, std::span<const double> labels) {
  return share_of_equal(predicted, labels);
}

double f1(std::span<const std::string> predicted, std::span<const std::string> labels,
          std::string_view positive) {
  const CountsOfLabels counts = counts_of(predicted, labels);
  check(counts.size() <= 2, ErrorKind::invalid,
        "F1 is of one of two labels, and there are {}: use the macro or micro mean", counts.size());
  const auto found = counts.find(positive);
  check(found != counts.end() || counts.size() < 2, ErrorKind::invalid,
        "the labels are {} and {}, neither of which is the positive label {}",
        in_quotes(counts.begin()->first), in_quotes(counts.rbegin()->first), in_quotes(positive));
  return found == counts.end() ? 0.0 : found->second.f1();
}

double f1_macro(std::span<const std::string> predicted, std::span<const std::string> labels) {
  const CountsOfLabels counts = counts_of(predicted, labels);
  double sum = 0;
  for (const auto& [label, count] : counts) sum += count.f1();
  return sum / static_cast<double>(counts.size());
}

double f1_micro(std::span<const std::string> predicted, std::span<const std::string> labels) {
  // Each wrong prediction is one false positive and one false negative: what is left is the share of right
  // ones.
  return accuracy(predicted, labels);
}

double matthews(std::span<const std::string> predicted, std::span<const std::string> labels) {
  const CountsOfLabels counts = counts_of(predicted, labels);
  const auto examples = static_cast<double>(labels.size());
  double right = 0, products = 0, label_squares = 0, predicted_squares = 0;
  for (const auto& [label, count] : counts) {
    right += count.both;
    products += count.labels * count.predicted;
    label_squares += count.labels * count.labels;
    predicted_squares += count.predicted * count.predicted;
  }
  const double variances = (examples * examples - label_squares) * (examples * examples - predicted_squares);
  return variances == 0 ? 0.0 : (right * examples - products) / std::sqrt(variances);
}

}  // namespace lowrank::metrics
