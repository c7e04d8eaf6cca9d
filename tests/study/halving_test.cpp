// Successive halving on scores that are known.
#include "study/compare/halving.h"

#include <vector>

#include <gtest/gtest.h>

namespace lowrank {
namespace {

struct Asked {
  size_t candidate;
  int64_t round;
  double share;
};

TEST(Halving, KeepsTheBetterHalfEachRound) {
  const std::vector<double> scores = {4, 1, 3, 2};
  std::vector<Asked> asked;
  const auto best = best_by_halving(4, 3, 0.5, [&](size_t candidate, int64_t round, double share) {
    asked.push_back({candidate, round, share});
    return scores[candidate];
  });
  EXPECT_EQ(best, 1U);
  // Four in the first round and two in the second; one is left, so there is no third.
  ASSERT_EQ(asked.size(), 6U);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(asked[i].candidate, i);
    EXPECT_EQ(asked[i].round, 0);
    EXPECT_DOUBLE_EQ(asked[i].share, 0.25);
  }
  EXPECT_EQ(asked[4].candidate, 1U);
  EXPECT_EQ(asked[5].candidate, 3U);
  EXPECT_DOUBLE_EQ(asked[5].share, 0.5);
}

TEST(Halving, TheLastRoundDecides) {
  const auto best = best_by_halving(3, 2, 0.6, [](size_t candidate, int64_t round, double) {
    const double early[] = {1, 2, 3}, late[] = {2, 1, 9};
    return round == 0 ? early[candidate] : late[candidate];
  });
  EXPECT_EQ(best, 1U);
}

TEST(Halving, LeavesOutWhatDiverges) {
  const auto best = best_by_halving(3, 1, 0.5, [](size_t candidate, int64_t, double) {
    return candidate == 2 ? std::optional(7.0) : std::nullopt;
  });
  EXPECT_EQ(best, 2U);
  EXPECT_EQ(best_by_halving(3, 2, 0.5, [](size_t, int64_t, double) { return std::optional<double>(); }),
            std::nullopt);
}

TEST(Halving, ASingleCandidateIsNotTried) {
  const auto never = [](size_t, int64_t, double) -> std::optional<double> {
    ADD_FAILURE() << "tried";
    return 0;
  };
  EXPECT_EQ(best_by_halving(1, 3, 0.5, never), 0U);
  EXPECT_TRUE(halving_sizes(1, 3, 0.5).empty());
}

TEST(Halving, ARoundIsKnownBeforeItsScores) {
  std::vector<std::vector<size_t>> rounds;
  size_t scores = 0;
  best_by_halving(
      3, 2, 0.5,
      [&](size_t candidate, int64_t, double) {
        ++scores;
        return std::optional(static_cast<double>(3 - candidate));
      },
      [&](const std::vector<size_t>& candidates, int64_t round, double share) {
        EXPECT_EQ(scores, round == 0 ? 0U : 3U);
        EXPECT_EQ(share, round == 0 ? 0.25 : 0.5);
        rounds.push_back(candidates);
      });
  EXPECT_EQ(rounds, (std::vector<std::vector<size_t>>{{0, 1, 2}, {2, 1}}));
}

TEST(Halving, RoundsGetSmaller) {
  EXPECT_EQ(halving_sizes(5, 3, 0.5), (std::vector<int64_t>{5, 3, 2}));
  // At least one is dropped each time, and one is kept.
  EXPECT_EQ(halving_sizes(3, 9, 0.95), (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(halving_sizes(3, 2, 0.05), (std::vector<int64_t>{3}));
}

}  // namespace
}  // namespace lowrank
