#include "metrics/correlation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"

namespace lowrank::metrics {
namespace {

void check_sizes(std::span<const double> predicted, std::span<const double> labels) {
  check(predicted.size() == labels.size(), ErrorKind::invalid,
        "{} predictions for {} numbers: give one for each", predicted.size(), labels.size());
  check(labels.size() >= 2, ErrorKind::invalid, "a correlation needs at least two numbers, and there are {}",
        labels.size());
}

bool has_nan(std::span<const double> numbers) {
  return std::any_of(numbers.begin(), numbers.end(), [](double x) { return std::isnan(x); });
}

bool constant(std::span<const double> numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [&](double x) { return x == numbers[0]; });
}

/// The numbers less their mean, divided by the root of their squares' sum.
std::vector<double> normalised(std::span<const double> numbers) {
  const double mean =
      std::accumulate(numbers.begin(), numbers.end(), 0.0) / static_cast<double>(numbers.size());
  std::vector<double> result;
  result.reserve(numbers.size());
  double largest = 0;
  for (const double x : numbers) {
    result.push_back(x - mean);
    largest = std::max(largest, std::abs(x - mean));
  }
  double squares = 0;  // of values up to 1: those of large numbers would overflow
  for (const double x : result) squares += (x / largest) * (x / largest);
  const double norm = largest * std::sqrt(squares);
  for (double& x : result) x /= norm;
  return result;
}

}  // namespace

double pearson(std::span<const double> predicted, std::span<const double> labels) {
  check_sizes(predicted, labels);
  if (constant(predicted) || constant(labels) || has_nan(predicted) || has_nan(labels)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  const std::vector<double> x = normalised(predicted), y = normalised(labels);
  const double product = std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
  return std::clamp(product, -1.0, 1.0);
}

std::vector<double> mean_ranks(std::span<const double> numbers) {
  std::vector<size_t> order(numbers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return numbers[a] < numbers[b]; });
  std::vector<double> ranks(numbers.size());
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && numbers[order[end]] == numbers[order[begin]]) ++end;
    const double rank = static_cast<double>(begin + 1 + end) / 2;  // the mean of begin + 1 … end
    for (size_t i = begin; i < end; ++i) ranks[order[i]] = rank;
  }
  return ranks;
}

double spearman(std::span<const double> predicted, std::span<const double> labels) {
  check_sizes(predicted, labels);
  if (has_nan(predicted) || has_nan(labels)) return std::numeric_limits<double>::quiet_NaN();
  return pearson(mean_ranks(predicted), mean_ranks(labels));
}

}  // namespace lowrank::metrics
