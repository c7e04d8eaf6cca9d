#pragma once

#include <string>
#include <vector>

namespace lowrank {

/// `lowrank bench decode`: seconds a token of a model, of adapters on it and of further models, in turn.
int bench_decode(const std::vector<std::string>& arguments);

/// `lowrank bench adapters`: tokens a second of a batch of rows with adapters of their own, and how long it
/// takes to change adapters.
int bench_adapters(const std::vector<std::string>& arguments);

/// `lowrank bench limit`: the share of a training step that its matrix products alone would take.
int bench_limit(const std::vector<std::string>& arguments);

/// The value in the middle of a copy that is sorted; `values` is not empty.
double median(std::vector<double> values);

}  // namespace lowrank
