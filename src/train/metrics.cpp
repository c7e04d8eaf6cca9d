#include "train/metrics.h"

#include <cmath>
#include <numeric>

namespace lowrank {

double accuracy(std::span<const double> predicted, std::span<const double> labels) {
  double equal = 0;
  for (size_t i = 0; i < labels.size(); ++i) equal += predicted[i] == labels[i] ? 1 : 0;
  return equal / static_cast<double>(labels.size());
}

double f1(int64_t right, int64_t found, int64_t wanted) {
  return found + wanted == 0 ? 1 : 2.0 * static_cast<double>(right) / static_cast<double>(found + wanted);
}

double correlation(std::span<const double> predicted, std::span<const double> labels) {
  const auto count = static_cast<double>(labels.size());
  const double x = std::accumulate(predicted.begin(), predicted.end(), 0.0) / count;
  const double y = std::accumulate(labels.begin(), labels.end(), 0.0) / count;
  double xy = 0;
  double xx = 0;
  double yy = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    xy += (predicted[i] - x) * (labels[i] - y);
    xx += (predicted[i] - x) * (predicted[i] - x);
    yy += (labels[i] - y) * (labels[i] - y);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

}  // namespace lowrank
