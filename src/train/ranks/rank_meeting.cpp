#include "train/ranks/rank_meeting.h"

#include <optional>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/log.h"
#include "train/ranks/rank_watch.h"

namespace lowrank {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

std::string this_process() {
  std::vector<char> host(256, '\0');
  if (gethostname(host.data(), host.size() - 1) != 0) host.front() = '\0';
  return fmt::format("process {} on {}", getpid(), host.data());
}

/// The ranks that have not yet said who they are.
std::vector<int64_t> missing_ranks(const RankStore& store, int64_t size) {
  std::vector<int64_t> missing;
  for (int64_t rank = 0; rank < size; ++rank) {
    if (!store.find(who_key(rank))) missing.push_back(rank);
  }
  return missing;
}

}  // namespace

void meet_ranks(const RankStore& store, const RankPlace& place, milliseconds patience) {
  const std::string size = fmt::format("{}", place.size);
  const std::string others = store.set_once("size", size);
  check(others == size, ErrorKind::invalid,
        "rank {} was started as one of {} processes, another one as one of {}", place.rank, size, others);
  check(store.add(fmt::format("started/{}", place.rank), 1) == 1, ErrorKind::invalid,
        "two processes were started as rank {}", place.rank);
  store.set(who_key(place.rank), this_process());
  constexpr milliseconds until_told{10'000}, between_looks{50};
  const auto start = Clock::now();
  bool told = !place.leads();
  for (std::vector<int64_t> missing; !(missing = missing_ranks(store, place.size)).empty();) {
    if (const std::optional<std::string> verdict = store.find(verdict_key))
      fail(ErrorKind::io, "{}", *verdict);
    const auto waited = Clock::now() - start;
    if (!std::exchange(told, told || waited > until_told) && told)
      info("waiting for the ranks {} of {}", fmt::join(missing, ", "), place.size);
    check(waited < patience, ErrorKind::io, "the ranks {} of {} have not started within {} s",
          fmt::join(missing, ", "), place.size,
          std::chrono::duration_cast<std::chrono::seconds>(patience).count());
    std::this_thread::sleep_for(between_looks);
  }
}

}  // namespace lowrank
