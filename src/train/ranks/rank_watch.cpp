#include "train/ranks/rank_watch.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/log.h"

namespace lowrank {
namespace {

using Clock = std::chrono::steady_clock;

std::string sign_key(int64_t rank) {
  return fmt::format("sign/{}", rank);
}

std::string arrivals_key(int64_t rank) {
  return fmt::format("arrivals/{}", rank);
}

int64_t seconds_of(Clock::duration time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time).count();
}

/// The signs of life of one rank, as another one sees them.
struct Pulse {
  int64_t rank = 0, signs = 0;
  Clock::time_point last = Clock::now();
};

/// Where a rank is.
struct Whereabouts {
  int64_t arrivals = 0;  ///< places to which it has come
  Awaited awaited = Awaited::all;
  std::optional<Clock::time_point> since;  ///< when it came to the last of them, while it waits there
};

/// The ranks below `end` that have come to fewer places.
std::vector<int64_t> later_ranks(const RankStore& store, const Whereabouts& own, int64_t end) {
  std::vector<int64_t> late;
  for (int64_t rank = 0; rank < end; ++rank) {
    if (store.add(arrivals_key(rank), 0) < own.arrivals) late.push_back(rank);
  }
  return late;
}

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
      if (!found) tell_arrivals();
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

  /// Says where this rank is, and warns of those that do not come: once per place, on one of the waiting
  /// ranks.
  void tell_arrivals() try {
    const Whereabouts own = whereabouts();
    const int64_t news = own.arrivals - std::exchange(arrivals_told, own.arrivals);
    if (news > 0) store.add(arrivals_key(place.rank), news);
    if (!own.since || Clock::now() - *own.since < waits.warning || warned_at == own.arrivals) return;
    warned_at = own.arrivals;
    if (std::ssize(later_ranks(store, own, place.rank)) < place.rank) return;  // one before it waits, too
    if (const std::optional<std::string> late = late_ranks()) warn("{}", *late);
  } catch (const std::exception&) {
    return;  // the next look finds out why
  }

  std::optional<std::string> late_ranks() {
    const Whereabouts own = whereabouts();
    if (!own.since) return std::nullopt;
    std::vector<std::string> names;
    for (const int64_t rank : later_ranks(store, own, own.awaited == Awaited::first ? 1 : place.size)) {
      if (rank != place.rank) names.push_back(described_rank(store, rank));
    }
    if (names.empty()) return std::nullopt;
    return fmt::format("rank {} has waited {} s for {}, {} alive: {} something else, or {} in a loop",
                       place.rank, seconds_of(Clock::now() - *own.since), fmt::join(names, ", "),
                       names.size() == 1 ? "which is" : "which are",
                       names.size() == 1 ? "it computes" : "they compute", names.size() == 1 ? "is" : "are");
  }

  Whereabouts whereabouts() {
    const std::lock_guard lock(mutex);
    return where;
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
  Whereabouts where;
  int64_t arrivals_told = 0, warned_at = 0;  ///< of the thread alone
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

std::optional<std::string> RankWatch::late_ranks() const {
  return state_->late_ranks();
}

RankWatch::Arrival::Arrival(const RankWatch& watch, Awaited awaited) : watch_(watch) {
  const std::lock_guard lock(watch_.state_->mutex);
  Whereabouts& where = watch_.state_->where;
  where = {where.arrivals + 1, awaited, Clock::now()};
}

RankWatch::Arrival::~Arrival() {
  const std::lock_guard lock(watch_.state_->mutex);
  watch_.state_->where.since.reset();
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
