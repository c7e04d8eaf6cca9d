#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include "peft/algebra/combination.h"
#include "peft/algebra/factored_update.h"

namespace lowrank {

/// The updates D_i of one module in several adapters, and their weights w_i.
struct WeightedUpdates {
  std::vector<const FactoredUpdate*> updates;
  std::vector<double> weights;
};

/// Factors A [r, in] and B [out, r] of an update B A.
struct Factors {
  at::Tensor a, b;
};

/// True for the types that drop values, to which a density belongs.
bool prunes(const std::string& type);

/// The factors that the type makes of the updates, which have the same shape (and for types that add factors
/// the same rank), filled up with zeros to `rank`. Errors: unsupported where a quantile is taken of too many
/// values.
Factors combined_factors(const WeightedUpdates& module, const CombinationOptions& options, int64_t rank,
                         at::Generator& generator);

}  // namespace lowrank
