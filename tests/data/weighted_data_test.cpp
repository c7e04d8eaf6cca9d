// Weights in the values of --data, and data sets of several files.
#include "data/order/weighted_data.h"

#include <gtest/gtest.h>

#include "data/dataset.h"
#include "data/row_cache.h"
#include "data/split.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

std::string rows_of(int first, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += fmt::format("{{\"input_ids\": [{}, 1]}}\n", first + i);
  return text;
}

TEST(WeightedData, IsWhatFollowsTheLastColon) {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("a.jsonl", "").string();
  EXPECT_EQ(weighted_data(file).pattern, file);
  EXPECT_EQ(weighted_data(file).weight, 1);
  EXPECT_EQ(weighted_data(file + ":2.5").pattern, file);
  EXPECT_EQ(weighted_data(file + ":2.5").weight, 2.5);
  EXPECT_EQ(weighted_data("rows/*.jsonl:2").pattern, "rows/*.jsonl");
  EXPECT_EQ(weighted_data("a:b.jsonl").pattern, "a:b.jsonl") << "not a number";
  EXPECT_EQ(weighted_data("a:b.jsonl:.5").weight, 0.5);
  EXPECT_EQ(weighted_data("rows:1x").pattern, "rows:1x");
  EXPECT_EQ(words_for(weighted_data(std::vector<std::string>{"a:2", "b"})), "a (weight 2), b");
}

TEST(WeightedData, AFileWithThatNameWins) {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("a.jsonl:2", "").string();
  EXPECT_EQ(weighted_data(file).pattern, file);
  EXPECT_EQ(weighted_data(file).weight, 1);
  EXPECT_EQ(weighted_data(file + ":3").pattern, file);
}

TEST(WeightedData, IsAboveZeroAndFinite) {
  for (const char* bad : {"a:0", "a:-1", "a:nan", "a:inf", "a:-inf", "a:1e999", "a:1e-999", "a:1001"})
    test::expect_error(ErrorKind::invalid, bad, "above 0 and at most 1000", [&] { weighted_data(bad); });
  test::expect_error(ErrorKind::invalid, ":2", "no file before the weight", [] { weighted_data(":2"); });
}

TEST(SeveralPatterns, AreOneDataSetWithItsParts) {
  const test::TemporaryFolder folder;
  const std::vector<std::string> files{folder.write("a.jsonl", rows_of(10, 3)).string(),
                                       folder.write("b.csv", "text,label\n").string(),
                                       folder.write("c.jsonl", rows_of(20, 2)).string()};
  const std::vector<std::string> two{files[2], files[0]};
  const Dataset dataset = load_dataset(two, nullptr, 100, {});
  EXPECT_EQ(dataset.sources, (std::vector<int64_t>{2, 3}));
  ASSERT_EQ(dataset.examples.size(), 5U);
  EXPECT_EQ(dataset.examples[0].tokens.front(), 20);
  EXPECT_EQ(dataset.examples[2].tokens.front(), 10);
  test::expect_error(ErrorKind::invalid, "b.csv", "no rows", [&] { load_dataset(files, nullptr, 100, {}); });
}

TEST(SeveralPatterns, EachNeedsARowWithATarget) {
  const test::TemporaryFolder folder;
  const std::string none = "{\"input_ids\": [7, 8], \"labels\": [-100, -100]}\n";
  const std::vector<std::string> files{folder.write("a.jsonl", rows_of(10, 3) + none).string(),
                                       folder.write("b.jsonl", none).string()};
  test::expect_error(ErrorKind::invalid, "b.jsonl", "the only row does not have a target token",
                     [&] { load_dataset(files, nullptr, 100, {}); });
}

TEST(SeveralPatterns, KeepTheirPartsInTheSplitAndInTheCache) {
  const test::TemporaryFolder folder;
  const std::vector<std::string> files{folder.write("a.jsonl", rows_of(10, 30)).string(),
                                       folder.write("b.jsonl", rows_of(50, 10)).string()};
  DatasetOptions options;
  options.cache = folder.path() / "cache";
  options.cache_from_bytes = 0;
  const Dataset first = load_dataset(files, nullptr, 100, options);
  const Dataset second = load_dataset(files, nullptr, 100, options);
  EXPECT_EQ(second.sources, (std::vector<int64_t>{30, 10}));
  EXPECT_EQ(facts_of(first), facts_of(second));
  EXPECT_EQ(first.examples.contents(), second.examples.contents());
  const std::vector<std::string> other{files[1], files[0]};
  EXPECT_NE(RowCache::of(files, nullptr, 100, options)->key(),
            RowCache::of(other, nullptr, 100, options)->key());
  const auto [training, evaluation] = split_dataset(second, 0.5, 1);
  for (const Dataset* part : {&training, &evaluation}) {
    ASSERT_EQ(part->sources.size(), 2U);
    EXPECT_EQ(part->sources[0] + part->sources[1], 20);
    for (int64_t i = 0; i < 20; ++i)
      EXPECT_EQ(part->examples[i].tokens.front() < 50, i < part->sources[0]) << i;
  }
}

}  // namespace
}  // namespace lowrank
