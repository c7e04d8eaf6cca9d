#pragma once

#include <chrono>

#include "train/ranks/rank_place.h"
#include "train/ranks/rank_store.h"

namespace lowrank {

/// Says in the store that this rank has started and who it is (who_key), and waits until all have. Rank 0
/// tells the user whom it waits for. Errors: io, naming the ranks that have not started within `patience`, or
/// the verdict; invalid when a rank was started twice, or the ranks with different numbers of them.
void meet_ranks(const RankStore& store, const RankPlace& place, std::chrono::milliseconds patience);

}  // namespace lowrank
