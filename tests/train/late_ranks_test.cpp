// Ranks that live but do not come to where the others wait are named: first in a warning, then as the reason
// for which the run ends.
#include <atomic>
#include <mutex>

#include <gtest/gtest.h>

#include "base/log.h"
#include "support/rank_threads.h"
#include "train/ranks/rank_group.h"

namespace lowrank {
namespace {

using std::chrono::milliseconds;
using test::as_ranks;

/// The warnings while it lives.
class Warnings {
 public:
  Warnings() {
    set_log_sink([this](LogLevel level, std::string_view line) {
      const std::lock_guard lock(mutex_);
      if (level == LogLevel::warning) lines_.emplace_back(line);
    });
  }
  ~Warnings() { set_log_sink({}); }
  Warnings(const Warnings&) = delete;
  Warnings& operator=(const Warnings&) = delete;

  std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

RankWaits waits_with(milliseconds warning, milliseconds collective) {
  RankWaits waits = test::brief_waits();
  waits.silence = milliseconds(30'000);
  waits.warning = warning;
  waits.collective = collective;
  return waits;
}

TEST(LateRanks, AreNamedInOneWarning) {
  for (const int64_t count : {2, 4}) {
    const Warnings warnings;
    const auto errors = as_ranks(count, [&](const RankPlace& place) {
      const RankGroup group = RankGroup::join(place, waits_with(milliseconds(1500), std::chrono::minutes(5)));
      group.largest(0);
      if (place.rank == 1) std::this_thread::sleep_for(milliseconds(5000));
      EXPECT_EQ(group.largest(place.rank), count - 1);
      group.leave();
    });
    EXPECT_TRUE(errors.empty()) << errors.begin()->second;
    const std::vector<std::string> lines = warnings.lines();
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_NE(lines[0].find("rank 0 has waited "), std::string::npos) << lines[0];
    EXPECT_NE(lines[0].find(" s for rank 1 (process "), std::string::npos) << lines[0];
    EXPECT_NE(lines[0].find("which is alive"), std::string::npos) << lines[0];
    EXPECT_EQ(lines[0].find("rank 2"), std::string::npos) << lines[0];
  }
}

TEST(LateRanks, TheFirstIsNamedWhereItsWordIsAwaited) {
  const Warnings warnings;
  const auto errors = as_ranks(3, [&](const RankPlace& place) {
    const RankGroup group = RankGroup::join(place, waits_with(milliseconds(400), std::chrono::minutes(5)));
    if (place.rank == 0) std::this_thread::sleep_for(milliseconds(2500));
    if (place.rank == 1) std::this_thread::sleep_for(milliseconds(1500));
    EXPECT_EQ(group.from_first(place.rank == 0 ? "a word" : ""), "a word");
    group.leave();
  });
  EXPECT_TRUE(errors.empty()) << errors.begin()->second;
  const std::vector<std::string> lines = warnings.lines();
  ASSERT_FALSE(lines.empty());
  for (const std::string& line : lines) {
    EXPECT_NE(line.find(" s for rank 0 (process "), std::string::npos) << line;
    EXPECT_EQ(line.find("rank 1 ("), std::string::npos) << line;
  }
}

TEST(LateRanks, ARunEndsWithTheirNames) {
  for (const int64_t count : {2, 4}) {
    const Warnings warnings;
    std::atomic<int64_t> ended = 0;
    const auto errors = as_ranks(count, [&](const RankPlace& place) {
      const RankGroup group = RankGroup::join(place, waits_with(std::chrono::minutes(5), milliseconds(1500)));
      group.largest(0);
      if (place.rank == count - 1) {  // in a loop until the others have ended
        while (ended < count - 1) std::this_thread::sleep_for(milliseconds(20));
        return;
      }
      try {
        group.largest(0);
      } catch (const std::exception&) {
        ++ended;
        throw;
      }
    });
    ASSERT_EQ(std::ssize(errors), count - 1);
    for (const auto& [rank, error] : errors) {
      EXPECT_NE(error.find(fmt::format("for rank {} (process ", count - 1)), std::string::npos) << error;
      EXPECT_EQ(error, errors.begin()->second);
    }
  }
}

}  // namespace
}  // namespace lowrank
