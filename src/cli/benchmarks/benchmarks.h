#pragma once

#include <string>
#include <vector>

namespace lowrank {

/// `lowrank bench decode`: milliseconds per token of a model, adapters on it and further models, measured in
/// turn.
int bench_decode(const std::vector<std::string>& arguments);

/// `lowrank bench adapters`: tokens per second of a batch whose sequences use different adapters, and the
/// time to switch adapters.
int bench_adapters(const std::vector<std::string>& arguments);

/// `lowrank bench limit`: the share of a training step that its matrix products alone would take.
int bench_limit(const std::vector<std::string>& arguments);

/// The median; `values` is not empty.
double median(std::vector<double> values);

}  // namespace lowrank
