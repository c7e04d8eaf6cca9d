#include "train/correlation.h"

#include <cmath>

#include "metrics/correlation.h"

namespace lowrank {

double correlation(std::span<const double> predicted, std::span<const double> labels) {
  if (labels.size() < 2) return 0;
  const double value = metrics::pearson(predicted, labels);
  return std::isnan(value) ? 0 : value;
}

}  // namespace lowrank
