// Ranks that keep tokenised rows in one folder read them once. Each rank is a thread here.
#include "session/ranks/shared_rows.h"

#include <atomic>

#include <gtest/gtest.h>

#include "base/error.h"
#include "data/row_cache.h"
#include "support/rank_threads.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

using test::as_ranks;

class SharedRows : public testing::Test {
 protected:
  void SetUp() override {
    folder.write("rows.jsonl", "{\"input_ids\":[1,2,3]}\n{\"input_ids\":[4,5]}\n{\"input_ids\":[6,7,8,9]}\n");
    folder.write("bad.jsonl", "{\"input_ids\":[1,2,3]}\n{\"input_ids\":[4,500]}\n");
  }

  std::string path(const std::string& name) const { return (folder.path() / name).string(); }

  /// What the ranks read from `name`, each with the cache of its number; adds to `found_kept` for each that
  /// found the rows in it.
  std::map<int64_t, std::string> read(int64_t count, const std::string& name,
                                      const std::function<std::string(int64_t)>& cache) {
    return as_ranks(count, [&](const RankPlace& place) {
      const std::optional<RankGroup> group = RankGroup::join(place);
      DatasetOptions options;
      options.cache = cache(place.rank);
      options.cache_from_bytes = 1;
      const RowReaders readers(group, options.cache);
      const auto found = RowCache::of(path(name), nullptr, 100, options);
      const Dataset rows = readers.load("training", found.has_value(), [&] {
        if (found && found->find()) ++found_kept;
        return load_dataset(path(name), nullptr, 100, options);
      });
      EXPECT_EQ(rows.examples.size(), 3U);
      EXPECT_EQ(rows.tokens(), 9);
      group->leave();
    });
  }

  test::TemporaryFolder folder;
  std::atomic<int> found_kept = 0;
};

TEST_F(SharedRows, TheLowestRankOfAFolderReads) {
  for (const int64_t count : {2, 4}) {
    found_kept = 0;
    const std::string cache = path(fmt::format("cache{}", count));
    EXPECT_TRUE(read(count, "rows.jsonl", [&](int64_t) { return cache; }).empty());
    EXPECT_EQ(found_kept, count - 1);
  }
}

TEST_F(SharedRows, EachFolderHasAReader) {
  EXPECT_TRUE(
      read(4, "rows.jsonl", [&](int64_t rank) { return path(rank % 2 == 0 ? "even" : "odd"); }).empty());
  EXPECT_EQ(found_kept, 2);
}

TEST_F(SharedRows, WithoutAFolderEachReads) {
  EXPECT_TRUE(read(2, "rows.jsonl", [](int64_t) { return ""; }).empty());
  EXPECT_TRUE(read(2, "rows.jsonl", [&](int64_t rank) { return rank == 0 ? "" : path("own"); }).empty());
  EXPECT_EQ(found_kept, 0);
}

TEST_F(SharedRows, AFaultInTheRowsIsToldByAll) {
  const auto errors = read(3, "bad.jsonl", [&](int64_t) { return path("cache"); });
  ASSERT_EQ(errors.size(), 3U);
  for (const auto& [rank, error] : errors) EXPECT_NE(error.find("500"), std::string::npos) << error;
}

TEST_F(SharedRows, AReaderThatEndsIsNamed) {
  const auto errors = as_ranks(2, [&](const RankPlace& place) {
    const std::optional<RankGroup> group = RankGroup::join(place, test::brief_waits());
    const RowReaders readers(group, path("cache"));
    if (place.rank == 0) return;  // as killed
    readers.load("training", true, []() -> Dataset { throw std::logic_error("read without the first"); });
  });
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_NE(errors.at(1).find("rank 0 (process "), std::string::npos) << errors.at(1);
}

TEST_F(SharedRows, OneProcessReads) {
  const RowReaders readers(std::nullopt, path("cache"));
  EXPECT_EQ(readers.load("training", true, [&] { return load_dataset(path("rows.jsonl"), nullptr, 100, {}); })
                .examples.size(),
            3U);
}

}  // namespace
}  // namespace lowrank
