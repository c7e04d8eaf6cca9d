#pragma once

#include <cstdint>

namespace lowrank::metrics {

/// e^(sum / tokens), where `negative_logs` is the sum of the tokens' -ln p; infinite above what f64 holds.
/// Errors: invalid when there are no tokens, or the sum is negative or NaN.
double perplexity(double negative_logs, int64_t tokens);

}  // namespace lowrank::metrics
