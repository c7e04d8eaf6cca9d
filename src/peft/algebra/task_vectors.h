#pragma once

#include <span>
#include <vector>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

namespace lowrank {

/// How tensors of the same shape become one, as in PEFT 0.21 (peft/utils/merge_utils.py).
struct MergeRule {
  enum class Prune {
    none,
    magnitude,  ///< the share `density` of values that are largest in magnitude stays (Yadav et al. 2023,
                ///< arXiv 2306.01708)
    random,     ///< each value stays with probability `density` and is divided by it (DARE: Yu et al. 2024,
                ///< arXiv 2311.03099)
  };
  enum class Signs {
    any,        ///< all values count
    of_sum,     ///< TIES: only values with the sign of the tensors' sum; the result is their mean
    of_number,  ///< TIES with the sign that most of the tensors have
  };
  Prune prune = Prune::none;
  Signs signs = Signs::any;
  double density = 1;
};

/// The weighted sum of the pruned tensors; with elected signs, the weighted sum of the values that have the
/// sign divided by their number. The sign is elected before weighting, so a negative weight does not change
/// it; where the vote is even it is positive. A density of 1 prunes nothing. `tensors` is not empty;
/// `weights` has as many values; `generator` draws the random masks.
at::Tensor merge_tensors(std::vector<at::Tensor> tensors, std::span<const double> weights,
                         const MergeRule& rule, at::Generator& generator);

}  // namespace lowrank
