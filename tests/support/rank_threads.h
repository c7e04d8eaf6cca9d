#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "train/ranks/rank_group.h"
#include "train/ranks/rank_place.h"

namespace lowrank::test {

inline RankWaits brief_waits() {
  return {.join = std::chrono::milliseconds(30'000),
          .silence = std::chrono::milliseconds(3000),
          .between_signs = std::chrono::milliseconds(50)};
}

/// Calls work(place) on a thread for each of `count` ranks; what each of them throws, by rank.
template <class Work>
std::map<int64_t, std::string> as_ranks(int64_t count, const Work& work) {
  const RankStore store = RankStore::serve("127.0.0.1", 0);
  std::vector<std::string> errors(static_cast<size_t>(count));
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < count; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        work(RankPlace{.rank = rank, .size = count, .port = store.port(), .store_elsewhere = true});
      } catch (const std::exception& error) {
        errors[static_cast<size_t>(rank)] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::map<int64_t, std::string> found;
  for (int64_t rank = 0; rank < count; ++rank) {
    if (!errors[static_cast<size_t>(rank)].empty()) found[rank] = errors[static_cast<size_t>(rank)];
  }
  return found;
}

}  // namespace lowrank::test
