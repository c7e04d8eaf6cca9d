#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include <ATen/core/Tensor.h>

#include "train/ranks/rank_group.h"

namespace lowrank {

/// Bytes that ranks fetch from each other, each whenever it needs them: a thread of each rank answers the
/// others, whatever else the rank does. Over connections of their own, through c10d's Gloo.
class RankExchange {
 public:
  /// All ranks of the group make theirs at the same time. `served(number)`: the bytes (u8, contiguous) that
  /// this rank gives under a number (from 0); called on the thread that answers. Errors: as RankGroup's.
  RankExchange(const RankGroup& ranks, std::function<at::Tensor(int64_t)> served);
  /// Ends the thread, and what is being fetched.
  ~RankExchange();
  RankExchange(const RankExchange&) = delete;
  RankExchange& operator=(const RankExchange&) = delete;

  /// Begins to fetch what rank `owner` gives under a number into `bytes`, whose size must be the same; waits
  /// for an earlier fetch first. Errors: as RankGroup's.
  void start(int64_t owner, int64_t number, at::Tensor bytes);
  /// Waits for what was started last. Errors: as RankGroup's, so when its owner has ended.
  void finish();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace lowrank
