#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "model/checkpoint.h"
#include "train/ranks/rank_group.h"

namespace lowrank {

/// What rank 0 calls this with; for a single process, its own.
std::string from_first(const std::optional<RankGroup>& ranks, const std::string& text);

/// Refuses an option that some ranks were started with and others without, since these would wait for each
/// other at different places. Errors: invalid, naming it.
void check_all_or_none(const RankGroup& ranks, bool given, std::string_view option);

/// Compares what this rank is about to train with what rank 0 is: `identity` (as RunIdentity::known), and the
/// configuration, the tensors' names and shapes and the first bytes of each tensor of `base`. Threads and
/// processors may differ. Errors: invalid, naming what differs.
void check_same_inputs(const RankGroup& ranks, nlohmann::json identity, const Checkpoint& base);

}  // namespace lowrank
