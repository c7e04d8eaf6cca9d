#pragma once

#include <chrono>
#include <string>

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "train/ranks/rank_place.h"
#include "train/ranks/rank_store.h"

namespace lowrank {

/// Connects this rank with all others, which do the same with the same `name`: of the group's keys in the
/// store. Errors: what c10d throws, after `patience`.
c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo_group(const RankStore& store, const RankPlace& place,
                                                      std::chrono::milliseconds patience,
                                                      const std::string& name);

}  // namespace lowrank
