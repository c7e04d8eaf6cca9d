// Which examples an epoch takes of weighted sources, and batches of a number of tokens.
#include "data/order/epoch_order.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "data/order/left_out_rows.h"
#include "data/order/weighted_examples.h"
#include "support/expect_error.h"

namespace lowrank {
namespace {

using Numbers = std::vector<int64_t>;

Numbers sorted(Numbers numbers) {
  std::ranges::sort(numbers);
  return numbers;
}

/// How often each number comes.
std::map<int64_t, int64_t> counts_of(const Numbers& numbers) {
  std::map<int64_t, int64_t> counts;
  for (const int64_t number : numbers) ++counts[number];
  return counts;
}

TEST(EpochDraws, WeightOneIsEachExampleOnce) {
  const std::vector<SourceShare> sources{{3, 1}, {2, 1}};
  EXPECT_FALSE(is_weighted(sources));
  for (const int64_t epoch : {0, 5})
    EXPECT_EQ(epoch_draws(sources, 1, epoch, true), (Numbers{0, 1, 2, 3, 4}));
}

TEST(EpochDraws, WholeWeightsRepeatASource) {
  const std::vector<SourceShare> sources{{3, 2}, {2, 1}};
  EXPECT_TRUE(is_weighted(sources));
  EXPECT_EQ(sorted(epoch_draws(sources, 1, 4, true)), (Numbers{0, 0, 1, 1, 2, 2, 3, 4}));
}

TEST(EpochDraws, AHalfIsAnotherOneInTheNextEpoch) {
  const std::vector<SourceShare> sources{{2, 1}, {100, 0.5}};
  const Numbers first = epoch_draws(sources, 7, 0, true), second = epoch_draws(sources, 7, 1, true);
  ASSERT_EQ(first.size(), 52U);
  EXPECT_EQ(first, epoch_draws(sources, 7, 0, true));
  EXPECT_NE(sorted(first), sorted(epoch_draws(sources, 8, 0, true))) << "another seed";
  Numbers both = first;
  both.insert(both.end(), second.begin(), second.end());
  for (const auto& [example, count] : counts_of(both)) EXPECT_EQ(count, example < 2 ? 2 : 1) << example;
  EXPECT_EQ(counts_of(both).size(), 102U);
  Numbers half(first.begin() + 2, first.end());
  EXPECT_FALSE(std::ranges::is_sorted(half));
  EXPECT_NE(sorted(half).back(), 51) << "a random half, not the first one";
}

TEST(EpochDraws, UnevenSharesComeEquallyOften) {
  // 2.5 of 5 is rounded to 3; 5 epochs take 15, each of the five three times.
  const std::vector<SourceShare> uneven{{5, 0.5}};
  Numbers all;
  for (int64_t epoch = 0; epoch < 5; ++epoch) {
    const Numbers drawn = epoch_draws(uneven, 3, epoch, true);
    ASSERT_EQ(drawn.size(), 3U);
    all.insert(all.end(), drawn.begin(), drawn.end());
  }
  for (const auto& [example, count] : counts_of(all)) EXPECT_EQ(count, 3) << example;
  const std::vector<SourceShare> more{{4, 1.5}};
  const std::map<int64_t, int64_t> counts = counts_of(epoch_draws(more, 3, 0, true));
  EXPECT_EQ(counts.size(), 4U);
  for (const auto& [example, count] : counts) EXPECT_LE(count, 2) << example;
}

TEST(EpochDraws, WithoutShufflingTheFilesOrderStays) {
  const std::vector<SourceShare> sources{{50, 0.5}};
  const Numbers drawn = epoch_draws(sources, 7, 0, false);
  EXPECT_TRUE(std::ranges::is_sorted(drawn));
  EXPECT_NE(drawn.back(), 24) << "still a random half";
  EXPECT_EQ(epoch_draws(std::vector<SourceShare>{{2, 2}}, 7, 0, false), (Numbers{0, 1, 0, 1}));
}

TEST(TokenBatches, EndBeforeTheyExceedTheLimit) {
  const std::vector<int32_t> lengths{4, 3, 3, 20, 10, 1};
  EXPECT_EQ(token_batches(Numbers{0, 1, 2, 3, 4, 5}, lengths, 10), (Numbers{3, 4, 5, 6}));
  EXPECT_EQ(token_batches(Numbers{3, 5, 4, 0, 1, 2}, lengths, 10), (Numbers{1, 2, 3, 6}));
  EXPECT_EQ(token_batches(Numbers{0, 1}, lengths, 1), (Numbers{1, 2}));
  EXPECT_EQ(token_batches(Numbers{0, 1, 5}, lengths, 1000), (Numbers{3}));
  EXPECT_TRUE(token_batches(Numbers{}, lengths, 10).empty());
}

TEST(WeightedExamples, CountWhatAnEpochTakes) {
  const std::vector<Example> rows{{{1, 2}, {1, 2}}, {{1, 2, 3, 4}, {1, 2, 3, 4}}, {{1}, {1}}};
  const WeightedExamples plain = rows;
  EXPECT_EQ(plain.epoch_size(), 3);
  EXPECT_EQ(plain.epoch_tokens(), 7);
  const WeightedExamples weighted(rows, {{2, 0.5}, {1, 3}});
  EXPECT_EQ(weighted.epoch_size(), 4);
  EXPECT_EQ(weighted.epoch_tokens(), 3 + 3);
  EXPECT_EQ(weighted.examples.lengths(), (std::vector<int32_t>{2, 4, 1}));
  EXPECT_EQ(weighted.examples.selected({2, 0}).lengths(), (std::vector<int32_t>{1, 2}));
}

TEST(LeftOutRows, AreATextAndBack) {
  LeftOutRows rows;
  EXPECT_EQ(rows.text(), "");
  for (const int64_t row : {0, 1, 5, 130, 131, 132}) rows.add(row);
  EXPECT_EQ(rows.text(), "0 2 3 1 124 3");
  const LeftOutRows read = LeftOutRows::of_text(rows.text(), "here");
  EXPECT_EQ(read.text(), rows.text());
  EXPECT_EQ(read.count(), 6);
  EXPECT_EQ(read.end(), 133);
  for (const char* bad : {"1", "1 ", "a 1", "-1 1", "1 0", "1 1 0 1", "1  1", "99999999999999999999 1",
                          "9223372036854775807 9223372036854775807"})
    test::expect_error(ErrorKind::corrupt, "here: the rows left out", "",
                       [&] { LeftOutRows::of_text(bad, "here"); });
}

TEST(LeftOutRows, AreNoExamples) {
  LeftOutRows rows;
  for (const int64_t row : {0, 1, 5, 63, 64, 130, 199}) rows.add(row);
  const ExampleNumbers numbers(rows, 200);
  int64_t example = 0;
  for (int64_t row = 0; row < 200; ++row) {
    const bool left_out = row < 2 || row == 5 || row == 63 || row == 64 || row == 130 || row == 199;
    EXPECT_EQ(numbers.of(row), left_out ? std::nullopt : std::optional<int64_t>(example++)) << row;
  }
  EXPECT_EQ(example, 193);
}

}  // namespace
}  // namespace lowrank
