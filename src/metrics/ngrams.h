#pragma once

#include <cstdint>
#include <map>
#include <string_view>

#include "metrics/words.h"

namespace lowrank::metrics {

/// How often each n-gram occurs. The keys are views of the text in which they were counted. They are ordered,
/// so that sums over them have the same rounding in each run.
using NgramCounts = std::map<std::string_view, int64_t>;

/// The n-grams of `order` words.
NgramCounts word_ngrams(const Words& words, size_t order);

/// The n-grams of `order` characters.
NgramCounts character_ngrams(std::string_view text, size_t order);

/// The larger of both counts of each n-gram, in `counts`: the clipping counts of several references.
void take_larger(NgramCounts& counts, const NgramCounts& others);

/// The sum of all counts.
int64_t total(const NgramCounts& counts);

/// The sum over n-grams of the smaller of both counts.
int64_t matches(const NgramCounts& counts, const NgramCounts& others);

/// The count of an n-gram, 0 if it does not occur.
int64_t count_of(const NgramCounts& counts, std::string_view ngram);

}  // namespace lowrank::metrics
