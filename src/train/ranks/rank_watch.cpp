#include "train/ranks/rank_watch.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/error.h"

namespace lowrank {
namespace {

using Clock = std::chrono::steady_clock;

std::string sign_key(int64_t rank) {
  return fmt::format("sign/{}", rank);
}

int64_t seconds_of(Clock::duration time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time).count();
}

/// The signs of life of one rank, as another one sees them.
struct Pulse {
  int64_t rank = 0, signs = 0;
  Clock::time_point last = Clock::now();
};

std::vector<Pulse> watched_by(const RankPlace& place) {
  if (!place.leads()) return {Pulse{0}};
  std::vector<Pulse> all;
  for (int64_t rank = 1; rank < place.size; ++rank) all.push_back({rank});
  return all;
}

}  // namespace

/// Belongs to the object and to its thread, whichever lives longer.
struct RankWatch::State {
  State(RankStore given, const RankPlace& at, const RankWaits& for_others)
      : store(std::move(given)), place(at), waits(for_others), pulses(watched_by(at)) {}

  void watch() {
    std::unique_lock lock(mutex);
    while (!ended && !verdict) {
      lock.unlock();
      std::optional<std::string> found = look();
      lock.lock();
      verdict = std::move(found);
      answered = Clock::now();
      changed.notify_all();
      if (!verdict) changed.wait_for(lock, waits.between_signs, [this] { return ended; });
    }
  }

  /// One round of signs.
  std::optional<std::string> look() try {
    store.add(sign_key(place.rank), 1);
    for (Pulse& pulse : pulses) {
      const int64_t signs = store.add(sign_key(pulse.rank), 0);
      if (signs != std::exchange(pulse.signs, signs)) pulse.last = Clock::now();
      if (Clock::now() - pulse.last > waits.silence)
        return store.set_once(verdict_key, fmt::format("{} has given no sign of life for {} s",
                                                       described_rank(store, pulse.rank),
                                                       seconds_of(Clock::now() - pulse.last)));
    }
    return store.find(verdict_key);
  } catch (const std::exception& error) {
    return keeper() + " has ended: " + error.what();
  }

  /// Who keeps the store.
  std::string keeper() const {
    return place.store_elsewhere ? "the process that started the ranks" : "rank 0";
  }

  RankStore store;
  const RankPlace place;
  const RankWaits waits;
  std::vector<Pulse> pulses;
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<std::string> verdict;
  Clock::time_point answered = Clock::now();  ///< when the store last did
  bool ended = false;
};

RankWatch::RankWatch(RankStore store, const RankPlace& place, const RankWaits& waits)
    : state_(std::make_shared<State>(std::move(store), place, waits)) {
  // A store that hangs would keep a thread that is joined.
  std::thread([state = state_] { state->watch(); }).detach();
}

RankWatch::~RankWatch() {
  const std::lock_guard lock(state_->mutex);
  state_->ended = true;
  state_->changed.notify_all();
}

std::optional<std::string> RankWatch::verdict() const {
  const std::lock_guard lock(state_->mutex);
  if (state_->verdict) return state_->verdict;
  const auto silent = Clock::now() - state_->answered;
  if (silent <= state_->waits.silence) return std::nullopt;
  return fmt::format("{}, which keeps the store of the ranks, has not answered for {} s", state_->keeper(),
                     seconds_of(silent));
}

std::optional<std::string> RankWatch::verdict_within(std::chrono::milliseconds patience) const {
  const auto end = Clock::now() + patience;
  for (;;) {
    if (std::optional<std::string> found = verdict()) return found;
    if (Clock::now() >= end) return std::nullopt;
    std::unique_lock lock(state_->mutex);
    state_->changed.wait_for(lock, std::chrono::milliseconds(200));
  }
}

std::string rank_keys(const RankPlace& place) {
  return fmt::format("lowrank/{}/", place.attempt);
}

std::string who_key(int64_t rank) {
  return fmt::format("who/{}", rank);
}

std::string described_rank(const RankStore& store, int64_t rank) {
  const std::optional<std::string> who = store.find(who_key(rank));
  return who ? fmt::format("rank {} ({})", rank, *who) : fmt::format("rank {}", rank);
}

}  // namespace lowrank
