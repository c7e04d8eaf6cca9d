#pragma once

#include <cstdint>
#include <span>

namespace lowrank {

/// Makes tokens that were `seen` less likely (Keskar et al. 2019, arXiv 1909.05858): their positive values in
/// `scores` [vocabulary] are divided by `penalty`, their negative ones multiplied. Other ids are passed over.
void penalise_seen(std::span<float> scores, std::span<const int64_t> seen, double penalty);

/// Excludes (-inf) each token that would complete a second n-gram of `size` tokens (> 0) that is in `seen`,
/// the prompt's included (Paulus et al. 2017, arXiv 1705.04304).
void exclude_repeated_ngrams(std::span<float> scores, std::span<const int64_t> seen, int64_t size);

}  // namespace lowrank
