#pragma once

#include <vector>

#include "cli/arguments.h"

namespace lowrank {

/// `lowrank bench decode`: milliseconds per token of a model, adapters on it and further models, measured in
/// turn.
int bench_decode(Arguments& arguments);

/// `lowrank bench adapters`: tokens per second of a batch whose sequences use different adapters, and the
/// time to switch adapters.
int bench_adapters(Arguments& arguments);

/// `lowrank bench serving`: tokens per second of requests that the engine runs together: with the base, with
/// one adapter, and with different ones of many.
int bench_serving(Arguments& arguments);

/// `lowrank bench limit`: the share of a training step that its matrix products alone would take.
int bench_limit(Arguments& arguments);

/// The median; `values` is not empty.
double median(std::vector<double> values);

}  // namespace lowrank
