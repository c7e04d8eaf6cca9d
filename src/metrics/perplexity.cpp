#include "metrics/perplexity.h"

#include <cmath>

#include "base/error.h"

namespace lowrank::metrics {

double perplexity(double negative_logs, int64_t tokens) {
  check(tokens > 0, ErrorKind::invalid, "{} tokens have no perplexity", tokens);
  check(negative_logs >= 0, ErrorKind::invalid,
        "the sum of negative logarithms is {}, and that of probabilities is at least 0", negative_logs);
  return std::exp(negative_logs / static_cast<double>(tokens));
}

}  // namespace lowrank::metrics
