// Beam search without a model: which candidates, which beams, which finished texts, and when it is over.
#include "infer/beams/beam_search.h"

#include <algorithm>
#include <limits>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "infer/repetition.h"

namespace lowrank {
namespace {

constexpr float none = -std::numeric_limits<float>::infinity();

TEST(BeamCandidates, AreTheBestOfAllRowsInOrder) {
  Philox random(1);
  for (const size_t vocabulary : {3, 255, 256, 257, 1000}) {
    std::vector<std::vector<float>> values(4, std::vector<float>(vocabulary));
    std::vector<BeamRow> rows;
    std::vector<BeamCandidate> all;
    for (int64_t beam = 0; beam < 4; ++beam) {
      // Few different values, so that many are equal, and some that are excluded.
      for (float& value : values[beam]) value = -static_cast<float>(random.below(40)) / 4;
      for (size_t i = 0; i < vocabulary; i += 7) values[beam][i] = none;
      rows.push_back({values[beam], -static_cast<float>(beam)});
      for (size_t token = 0; token < vocabulary; ++token) {
        if (values[beam][token] == none) continue;
        all.push_back({beam, static_cast<int64_t>(token), values[beam][token] + rows.back().score});
      }
    }
    std::ranges::stable_sort(all, std::ranges::greater(), &BeamCandidate::score);
    for (const int64_t count : {1, 5, 20, 4000}) {
      const auto best = best_candidates(rows, count);
      ASSERT_EQ(std::ssize(best), std::min(count, std::ssize(all)));
      for (size_t i = 0; i < best.size(); ++i) {
        EXPECT_EQ(best[i].score, all[i].score);
        EXPECT_EQ(best[i].beam, all[i].beam);
        EXPECT_EQ(best[i].token, all[i].token);
      }
    }
  }
}

TEST(BeamCandidates, ThereAreNoneOfRowsWithoutTokens) {
  const std::vector<float> values(300, none);
  const std::vector<BeamRow> rows{{values, 0}};
  EXPECT_TRUE(best_candidates(rows, 4).empty());
  EXPECT_TRUE(best_candidates({}, 4).empty());
}

BeamOptions beams(int64_t count, double length_penalty, const std::string& early_stopping = "false") {
  return {count, length_penalty, early_stopping, 1};
}

TEST(BeamSearch, OnlyEndsAmongTheFirstCandidatesAreFinished) {
  BeamSearch search(beams(2, 1), {7, 8}, 10);
  const std::vector<BeamCandidate> first{
      {0, 1, -1, false}, {0, 2, -2, true}, {0, 3, -3, true}, {0, 4, -4, false}};
  EXPECT_EQ(search.advance(first), (std::vector<int64_t>{0, 0}));
  ASSERT_EQ(search.finished().size(), 1);
  EXPECT_EQ(search.finished()[0].tokens, std::vector<int64_t>{2});
  EXPECT_TRUE(search.finished()[0].ended);
  EXPECT_EQ(search.beams()[0].tokens, (std::vector<int64_t>{7, 8, 1}));
  EXPECT_EQ(search.beams()[1].tokens, (std::vector<int64_t>{7, 8, 4}));
  EXPECT_EQ(search.beams()[1].score, -4);
  EXPECT_FALSE(search.done());
  // Both next beams may come from one.
  const std::vector<BeamCandidate> second{{1, 5, -4.5F, false}, {1, 6, -4.75F, false}};
  EXPECT_EQ(search.advance(second), (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(search.beams()[1].tokens, (std::vector<int64_t>{7, 8, 4, 6}));
}

TEST(BeamSearch, AScoreIsDividedByThePowerOfTheGeneratedTokens) {
  BeamSearch search(beams(1, 2), {7}, 3);
  search.advance(std::vector<BeamCandidate>{{0, 1, -1, false}});
  search.advance(std::vector<BeamCandidate>{{0, 2, -2, false}});
  search.advance(std::vector<BeamCandidate>{{0, 3, -4.5F, false}});
  EXPECT_TRUE(search.done());
  EXPECT_TRUE(search.beams().empty());
  ASSERT_EQ(search.finished().size(), 1);
  EXPECT_EQ(search.finished()[0].score, -0.5F);
  EXPECT_FALSE(search.finished()[0].ended);
  EXPECT_EQ(search.finished()[0].tokens, (std::vector<int64_t>{1, 2, 3}));
}

/// Whether a search with two finished texts, of scores -1 and -3, ends while its best beam has this score
/// after one token of four.
bool ends_at(const BeamOptions& options, float best) {
  BeamSearch search(options, {7}, 4);
  const std::vector<BeamCandidate> all{{0, 1, -1, true}, {0, 2, -3, true}, {0, 3, best, false}};
  search.advance(all);
  return search.done();
}

TEST(BeamSearch, EarlyStoppingDecidesWhichHopeIsEnough) {
  EXPECT_FALSE(ends_at(beams(2, 1), -2.5F));
  EXPECT_TRUE(ends_at(beams(2, 1), -3));
  EXPECT_TRUE(ends_at(beams(2, 1, "true"), -0.5F));
  // With four tokens the score could become -11 / 4 or -12 / 4.
  EXPECT_FALSE(ends_at(beams(2, 1, "never"), -11));
  EXPECT_TRUE(ends_at(beams(2, 1, "never"), -12));
  EXPECT_TRUE(ends_at(beams(2, -1, "never"), -3));
  EXPECT_FALSE(ends_at(beams(3, 1, "true"), -100));
}

TEST(BeamSearch, OfEqualFinishedTextsTheEarlierIsKept) {
  BeamSearch search(beams(1, 0, "never"), {7}, 9);
  search.advance(std::vector<BeamCandidate>{{0, 1, -1, true}, {0, 2, -0.5F, false}});
  search.advance(std::vector<BeamCandidate>{{0, 3, -1, true}, {0, 2, -2, false}});
  ASSERT_EQ(search.finished().size(), 1);
  EXPECT_EQ(search.finished()[0].tokens, std::vector<int64_t>{1});
  EXPECT_TRUE(search.done());
}

TEST(Repetition, NoTokenCompletesASecondNgram) {
  const std::vector<int64_t> seen{1, 2, 3, 1, 2, 4, 1, 2};
  const auto excluded = [&](int64_t size) {
    std::vector<float> scores(6, 1);
    exclude_repeated_ngrams(scores, seen, size);
    std::vector<int64_t> ids;
    for (int64_t id = 0; id < 6; ++id) {
      if (scores[id] == none) ids.push_back(id);
    }
    return ids;
  };
  EXPECT_EQ(excluded(1), (std::vector<int64_t>{1, 2, 3, 4}));
  EXPECT_EQ(excluded(2), (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(excluded(3), (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(excluded(4), (std::vector<int64_t>{}));
  EXPECT_EQ(excluded(9), (std::vector<int64_t>{}));
}

}  // namespace
}  // namespace lowrank
