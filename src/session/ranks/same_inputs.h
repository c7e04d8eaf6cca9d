#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "model/checkpoint.h"
#include "train/ranks/rank_group.h"

namespace lowrank {

/// What rank 0 calls this with; for a single process, its own.
std::string from_first(const std::optional<RankGroup>& ranks, const std::string& text);

/// Compares what this rank is about to train with what rank 0 is: `identity` (as RunIdentity::known), and the
/// configuration, the tensors' names and shapes and the first bytes of each tensor of `base`. Threads and
/// processors may differ. Errors: invalid, naming what differs.
void check_same_inputs(const RankGroup& ranks, nlohmann::json identity, const Checkpoint& base);

}  // namespace lowrank
