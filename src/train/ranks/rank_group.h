#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "train/ranks/rank_place.h"
#include "train/ranks/rank_watch.h"

namespace lowrank {

/// The processes (ranks) that take a run's steps together, as one of them sees them. Copies are the same
/// group. Collectives are libtorch's c10d: over Gloo, and between GPUs over NCCL; each rank calls them in the
/// same order. All throw an Error of kind io, with the same sentence on all ranks, when a rank has died,
/// hangs or failed.
class RankGroup {
 public:
  /// Meets the others. Errors: io, naming the ranks that have not started within `waits.join`; invalid when a
  /// rank was started twice, or the ranks were started with different numbers of them.
  static RankGroup join(const RankPlace& place, const RankWaits& waits = {});

  int64_t rank() const { return place().rank; }
  int64_t size() const { return place().size; }
  /// True for rank 0, which alone writes.
  bool leads() const { return rank() == 0; }
  const RankPlace& place() const;

  /// The sum over all ranks, in place: the same bits on all, and whenever as many ranks add the same values.
  void sum(std::span<float> values) const;
  void sum(std::span<double> values) const;
  /// The same of a contiguous tensor's values, where it lies. Between GPUs NCCL adds them, if all ranks have
  /// it; else, and on other devices, they are copied to the CPU and back. Without NCCL the first call warns.
  void sum(at::Tensor& values) const;
  /// The largest of the ranks' values.
  int64_t largest(int64_t value) const;
  /// What rank 0 calls this with; what others give is not used.
  std::string from_first(const std::string& text) const;
  /// What each rank calls this with, by rank.
  std::vector<std::string> from_all(const std::string& text) const;

  /// To be called when this rank ends early, for whatever reason: tells the others why, unless they know, and
  /// lets them read it before a store that this rank keeps is gone. They end with the same sentence.
  void fail(const std::string& sentence) const noexcept;
  /// Ends the run in agreement: from now on ranks may end one by one. Rank 0 waits until all have left.
  void leave() const;
  bool has_left() const;

  // For what ranks exchange beside collectives (rank_exchange.h).

  /// Waits for something that other ranks bring about: `done(patience)` waits no longer than that and says
  /// whether it has come; what it throws is taken for a lost connection.
  void wait_until(const std::function<bool(std::chrono::milliseconds)>& done) const;
  /// `settle` is called by `leave`, while all other ranks still answer.
  void before_leaving(std::function<void()> settle) const;
  const RankStore& store() const;
  const RankWaits& waits() const;

 private:
  struct Shared;
  explicit RankGroup(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  std::shared_ptr<Shared> shared_;
};

}  // namespace lowrank
