#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "train/ranks/rank_place.h"
#include "train/ranks/rank_store.h"

namespace lowrank {

/// How long ranks wait for each other.
struct RankWaits {
  std::chrono::milliseconds join = std::chrono::minutes(5);  ///< until all have started
  /// A process that gives no sign of life for so long is taken for dead. Signs are given by a thread of
  /// their own, so a long computation is none of this.
  std::chrono::milliseconds silence = std::chrono::seconds(20);
  std::chrono::milliseconds between_signs = std::chrono::seconds(1);
  std::chrono::milliseconds collective = std::chrono::minutes(60);  ///< for the others, while all are alive
  /// After so much of that wait one rank warns, naming those that have not come.
  std::chrono::milliseconds warning = std::chrono::seconds(30);
};

/// Who must have come to a place before a rank can go on from it.
enum class Awaited { all, first };

/// Gives a sign of life for this rank and watches those of the others: rank 0 all of them, the others rank 0.
/// The first failure that a rank, or the launcher, finds is the verdict, the same sentence for all. With its
/// signs a rank says to how many places it has come at which ranks wait for each other, so that one which
/// lives but does not come (it loops, or computes something long) can be named.
class RankWatch {
 public:
  /// While it lives, this rank waits at such a place. All ranks come to the same ones, in the same order.
  class Arrival {
   public:
    Arrival(const RankWatch& watch, Awaited awaited);
    ~Arrival();
    Arrival(const Arrival&) = delete;
    Arrival& operator=(const Arrival&) = delete;

   private:
    const RankWatch& watch_;
  };

  /// `store`: a connection for this object alone.
  RankWatch(RankStore store, const RankPlace& place, const RankWaits& waits);
  /// Ends the watch; does not wait for a store that does not answer.
  ~RankWatch();
  RankWatch(const RankWatch&) = delete;
  RankWatch& operator=(const RankWatch&) = delete;

  /// Why the run cannot go on, as one sentence; nullopt while all are well.
  std::optional<std::string> verdict() const;
  /// The same, waiting for it.
  std::optional<std::string> verdict_within(std::chrono::milliseconds patience) const;

  /// The ranks that have not come to where this one waits, as one sentence; nullopt if it does not wait, or
  /// all have come. Errors: as RankStore.
  std::optional<std::string> late_ranks() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// The part of the store that a run's keys are in.
std::string rank_keys(const RankPlace& place);
/// The store's key of what a rank is: "process 4711 on host".
std::string who_key(int64_t rank);
/// The store's key of the verdict.
inline constexpr const char* verdict_key = "verdict";

/// "rank 2 (process 4711 on host)", as far as the store knows it. Errors: as RankStore.
std::string described_rank(const RankStore& store, int64_t rank);

}  // namespace lowrank
