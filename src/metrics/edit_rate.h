#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lowrank::metrics {

/// The edits that turn `prediction` into `reference` (words as numbers): insertions, deletions and
/// substitutions of words and shifts of runs of words, each 1. Shifts are searched greedily, by Tercom's
/// rules as sacrebleu has them: of runs of at most 10 words that occur in the reference at most 50 words
/// away, the one that saves most edits (then the longest, the earliest, to the earliest place), until none
/// saves any or 1,000 have been tried. The distance is computed in a band of 25 words on either side of the
/// diagonal.
int64_t edits(std::span<const uint32_t> prediction, std::span<const uint32_t> reference);

}  // namespace lowrank::metrics
