// Data sets that are used while they are read.
#include "data/early/early_dataset.h"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/interrupt.h"
#include "data/order/early_order.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

class EarlyRows : public testing::Test {
 protected:
  EarlyRows() {
    options_.cache = folder_.path() / "cache";
    options_.cache_from_bytes = 0;
    options_.max_length = 4;
  }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_.path() / name, std::ios::binary) << text;
    return (folder_.path() / name).string();
  }
  std::shared_ptr<EarlyDataset> start(std::vector<std::string> patterns, int64_t count = 1) const {
    return EarlyDataset::start(std::move(patterns), nullptr, 1000, options_, count);
  }
  /// Rows of which some are blank lines, some have no target, and some are long.
  static std::string mixed_rows(int count, const char* line_end) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      const bool without = i % 7 == 3, is_long = i % 11 == 5;
      text +=
          fmt::format(R"({{"input_ids": [{}, 2, 3{}], "labels": [-100, {}, -100{}]}}{})", i % 900,
                      is_long ? ", 4, 5, 6" : "", without ? -100 : 2, is_long ? ", 4, 5, 6" : "", line_end);
      if (i % 5 == 0) text += i % 2 == 0 ? "\n" : "  \r\n";
    }
    return text;
  }

  test::TemporaryFolder folder_;
  DatasetOptions options_;
};

TEST_F(EarlyRows, AreThoseOfTheWholeDataSet) {
  std::string second = mixed_rows(131, "\r\n");
  second.resize(second.find_last_not_of("\r\n ") + 1);
  write("a.jsonl", "\xEF\xBB\xBF" + mixed_rows(200, "\n"));
  write("b.jsonl", "\n\n" + second);
  const std::string others = write("c.json", "{\"input_ids\": [7, 8]}");
  for (const OnLong on_long : {OnLong::truncate, OnLong::drop}) {
    options_.on_long = on_long;
    const auto early = start({(folder_.path() / "?.jsonl").string(), others}, 3);
    ASSERT_TRUE(early);
    EXPECT_EQ(early->rows(), 332);
    std::vector<Example> found;
    LeftOutRows left_out;
    for (int64_t row = 0; row < early->rows(); ++row) {
      if (std::optional<Example> example = early->example(row))
        found.push_back(*example);
      else
        left_out.add(row);
    }
    const WeightedExamples whole = early->wait();
    EXPECT_GT(left_out.count(), 40);
    EXPECT_EQ(whole.left_out.text(), left_out.text());
    ASSERT_EQ(whole.examples.size(), found.size());
    for (size_t i = 0; i < found.size(); ++i) {
      const Example example = whole.examples[static_cast<int64_t>(i)];
      EXPECT_EQ(example.tokens, found[i].tokens) << i;
      EXPECT_EQ(example.labels, found[i].labels) << i;
      EXPECT_EQ(example.line, found[i].line) << i;
      EXPECT_EQ(example.length, found[i].length) << i;
    }
    ASSERT_EQ(early->beginning().examples.size(), 3U);
    EXPECT_EQ(early->beginning().examples[2].tokens, found[2].tokens);
    EXPECT_EQ(early->beginning().format, early->dataset().format);
    EXPECT_EQ(early->whole()->rows(), 332);
  }
}

TEST_F(EarlyRows, AreReadOnlyWhereACacheIsMade) {
  const std::string rows = write("rows.jsonl", mixed_rows(20, "\n"));
  const auto refused = [&](const std::string& name, const std::string& text) {
    return start({rows, write(name, text)}) == nullptr;
  };
  EXPECT_TRUE(refused("a.json", "[{\"input_ids\": [7, 8]}]"));
  EXPECT_TRUE(refused("a.csv", "text\nwords\n"));
  EXPECT_TRUE(refused("empty.jsonl", ""));
  EXPECT_TRUE(refused("blank.jsonl", "\n \n"));
  EXPECT_TRUE(refused("packed.jsonl", "\x1F\x8B..."));
  EXPECT_TRUE(refused("broken.jsonl", "{\n"));
  EXPECT_TRUE(refused("others.jsonl", "{\"texts\": \"\"}\n"));
  EXPECT_TRUE(start({(folder_.path() / "none").string()}) == nullptr);
  const DatasetOptions usual = options_;
  options_.cache_from_bytes = 1 << 20;
  EXPECT_TRUE(start({rows}) == nullptr);
  options_ = usual;
  options_.cache.clear();
  EXPECT_TRUE(start({rows}) == nullptr);
  options_ = usual;
  options_.on_long = OnLong::error;
  options_.max_length = 2;
  EXPECT_TRUE(start({rows}) == nullptr) << "its first row is too long";
  options_ = usual;
  const auto early = start({rows});
  ASSERT_TRUE(early);
  early->wait();
  EXPECT_TRUE(start({rows}) == nullptr) << "it is in the cache";
}

TEST_F(EarlyRows, ErrorsOfTheLastRowComeWithTheWhole) {
  const std::string rows = write("rows.jsonl", mixed_rows(300, "\n") + "{\"input_ids\": [1, 1000]}\n");
  const auto early = start({rows});
  ASSERT_TRUE(early);
  EXPECT_TRUE(early->example(299).has_value());
  const std::string line = rows + ":361";
  test::expect_error(ErrorKind::invalid, line, "outside", [&] { early->example(300); });
  test::expect_error(ErrorKind::invalid, line, "outside", [&] { early->wait(); });
  test::expect_error(ErrorKind::invalid, line, "outside", [&] { early->whole(); });
}

TEST_F(EarlyRows, AStopEndsTheReading) {
  const std::string rows = write("rows.jsonl", mixed_rows(20'000, "\n"));
  std::stop_source stop;
  stop.request_stop();
  const auto early = start({rows});
  ASSERT_TRUE(early);
  const StopScope scope(stop.get_token());
  if (!early->whole()) test::expect_error(ErrorKind::interrupted, "Stopped", "", [&] { early->wait(); });
}

TEST_F(EarlyRows, AreTakenInTheOrderOfTheFirstEpoch) {
  const auto early = start({write("rows.jsonl", mixed_rows(100, "\n"))});
  ASSERT_TRUE(early);
  EarlyOrder order(early, 3, true);
  for (int turn = 0; turn < 2; ++turn) {
    std::vector<int64_t> expected, seen;
    const std::vector<int64_t> rows = epoch_order(100, 3, 0, true);
    for (const int64_t row : rows) {
      if (row % 7 != 3 || row % 11 == 5) expected.push_back(row);
    }
    for (EarlyOrder::Taken taken; !(taken = order.take(8)).rows.empty();) {
      EXPECT_EQ(taken.rows.size(), taken.examples.size());
      seen.insert(seen.end(), taken.rows.begin(), taken.rows.end());
      const bool last = seen.size() == expected.size();
      EXPECT_EQ(taken.passed, last ? 100 : std::ranges::find(rows, seen.back()) - rows.begin() + 1);
    }
    EXPECT_EQ(seen, expected);
    order.rewind();
  }
}

}  // namespace
}  // namespace lowrank
