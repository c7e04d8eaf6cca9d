#include "base/rng.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace lowrank::test {
namespace {

// kat_vectors of Random123 1.14, philox4x32 with 10 rounds.
TEST(Philox, KnownAnswers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox(0, {0, 0, 0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox(~uint64_t{0}, {ones, ones, ones, ones}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox(0x299f31d0a4093822U, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, TheFirstBlockComesFirst) {
  Philox random(0, 0);
  for (const uint32_t word : {0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U})
    EXPECT_EQ(random.next(), word);
  EXPECT_EQ(random.next(), philox(0, {1, 0, 0, 0})[0]);
}

TEST(Philox, StreamsAndSeedsDiffer) {
  std::set<uint32_t> first;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    for (uint64_t stream = 0; stream < 10; ++stream) first.insert(Philox(seed, stream).next());
  }
  EXPECT_EQ(first.size(), 100U);
  EXPECT_NE(derive_seed(1, 2), derive_seed(2, 1));
  EXPECT_NE(derive_seed(1, 2, 3), derive_seed(1, 3, 2));
}

TEST(Philox, UniformAndNormalHaveTheirMoments) {
  Philox random(5);
  constexpr int draws = 200'000;
  double sum = 0;
  double normal_sum = 0;
  double normal_squares = 0;
  for (int i = 0; i < draws; ++i) {
    const float value = random.uniform();
    ASSERT_GE(value, 0);
    ASSERT_LT(value, 1);
    sum += value;
    const double normal = random.normal();
    ASSERT_TRUE(std::isfinite(normal));
    normal_sum += normal;
    normal_squares += normal * normal;
  }
  // Five standard errors.
  EXPECT_NEAR(sum / draws, 0.5, 5 * 0.2887 / std::sqrt(draws));
  EXPECT_NEAR(normal_sum / draws, 0, 5 / std::sqrt(draws));
  EXPECT_NEAR(normal_squares / draws, 1, 5 * std::sqrt(2.0 / draws));
}

TEST(Philox, BelowIsUniform) {
  Philox random(6);
  std::array<int, 7> counts{};
  for (int i = 0; i < 70'000; ++i) ++counts[random.below(7)];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);
  EXPECT_EQ(random.below(1), 0U);
}

TEST(Philox, ShuffleIsAPermutationOfTheSeed) {
  std::vector<int64_t> values(1000);
  std::iota(values.begin(), values.end(), 0);
  const std::vector<int64_t> sorted = values;
  std::vector<int64_t> again = values;
  Philox random(7);
  Philox same(7);
  shuffle(values, random);
  shuffle(again, same);
  EXPECT_EQ(values, again);
  EXPECT_NE(values, sorted);
  std::ranges::sort(values);
  EXPECT_EQ(values, sorted);
}

}  // namespace
}  // namespace lowrank::test
