#include "data/row_cache.h"

#include <filesystem>
#include <fstream>
#include <functional>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/fingerprint.h"
#include "data/dataset.h"
#include "data/examples/cache_folder.h"
#include "data/examples/example_file.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

std::string fingerprint_of_all(const Dataset& dataset) {
  Fingerprint all;
  for (const Example& example : dataset.examples) {
    add_to(all, example);
    all.add(example.line);
    all.add(example.length);
  }
  return all.text();
}

void write_bytes(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string bytes_in(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Tokenised rows of several lengths and kinds of labels, one of them without targets.
std::string cached_rows() {
  std::string text = R"({"input_ids": [5, 6], "labels": [-100, -100]})"
                     "\n";
  for (int i = 0; i < 500; ++i) {
    const int first = i % 90;
    text += fmt::format(R"({{"input_ids": [{}, {}, {}, 3], "labels": [-100, {}, -100, {}]}})"
                        "\n",
                        first, first + 1, first + 2, first + 1, i % 7 == 0 ? 9 : 3);
  }
  return text;
}

class RowCacheTest : public testing::Test {
 protected:
  RowCacheTest() {
    write_bytes(rows_, cached_rows());
    options_.cache = folder_.path() / "cache";
    options_.cache_from_bytes = 0;
    options_.max_length = 3;
  }

  Dataset load() const { return load_dataset(rows_.string(), nullptr, 100, options_); }
  std::vector<fs::path> cached() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(options_.cache)) files.push_back(entry.path());
    return files;
  }

  test::TemporaryFolder folder_;
  fs::path rows_ = folder_.path() / "rows.jsonl";
  DatasetOptions options_;
};

TEST_F(RowCacheTest, LaterLoadsAreLikeTheFirst) {
  DatasetOptions in_memory = options_;
  in_memory.cache.clear();
  const Dataset plain = load_dataset(rows_.string(), nullptr, 100, in_memory);
  const Dataset first = load(), second = load();
  EXPECT_EQ(cached().size(), 1U);
  for (const Dataset* dataset : {&first, &second}) {
    EXPECT_EQ(dataset->examples.size(), plain.examples.size());
    EXPECT_EQ(fingerprint_of_all(*dataset), fingerprint_of_all(plain));
    EXPECT_EQ(facts_of(*dataset), facts_of(plain));
    EXPECT_EQ(dataset->tokens(), plain.tokens());
  }
  EXPECT_EQ(plain.skipped, 1);
  EXPECT_EQ(second.left_out.text(), "0 1");
  EXPECT_EQ(plain.cut_off, 0);
  EXPECT_EQ(second.truncated_rows, plain.truncated_rows);
  Fingerprint contents;
  for (const Example& example : second.examples) add_to(contents, example);
  EXPECT_EQ(second.examples.contents(), contents.text());
  EXPECT_EQ(second.examples.selected({0}).contents(), "");
}

TEST_F(RowCacheTest, SmallFilesStayInMemory) {
  options_.cache_from_bytes = 1 << 20;
  load();
  EXPECT_FALSE(fs::exists(options_.cache));
}

TEST_F(RowCacheTest, WhatChangesTheExamplesChangesTheKey) {
  const auto key = [&] { return RowCache::of(rows_.string(), nullptr, 100, options_)->key(); };
  const std::string before = key();
  EXPECT_EQ(key(), before);
  const DatasetOptions usual = options_;
  const std::vector<std::function<void()>> changes{
      [&] { options_.max_length = 2; },           [&] { options_.on_long = OnLong::drop; },
      [&] { options_.train_on = TrainOn::all; },  [&] { options_.format = "tokenised"; },
      [&] { options_.columns = {"text=other"}; }, [&] { options_.labels = LabelSet{{"a", "b"}}; }};
  for (const auto& change : changes) {
    change();
    EXPECT_NE(key(), before);
    options_ = usual;
  }
  EXPECT_NE(RowCache::of(rows_.string(), nullptr, 101, options_)->key(), before);
  const fs::file_time_type time = fs::last_write_time(rows_);
  std::string text = cached_rows();
  text[20] = '7';
  write_bytes(rows_, text);
  fs::last_write_time(rows_, time);
  EXPECT_NE(key(), before) << "another content, as long and as old";
  write_bytes(rows_, cached_rows());
  fs::last_write_time(rows_, time + std::chrono::seconds(1));
  EXPECT_NE(key(), before) << "another time";
  fs::last_write_time(rows_, time);
  EXPECT_EQ(key(), before);
}

TEST_F(RowCacheTest, DamagedFilesAreMadeAnew) {
  const std::string expected = fingerprint_of_all(load());
  const fs::path file = cached().front();
  const std::string good = bytes_in(file);
  const size_t records = good.size() - 96 - 48;
  std::vector<std::string> broken{"", good.substr(0, 50), good.substr(16), good.substr(0, good.size() - 96),
                                  good + std::string(96, 'x')};
  for (const size_t at :
       {size_t{1}, size_t{20}, size_t{40}, size_t{64}, size_t{72}, size_t{80}, size_t{88}}) {
    broken.push_back(good);
    broken.back()[good.size() - 96 + at] ^= 0x40;
  }
  broken.push_back(good);
  broken.back()[records] ^= 0x40;
  for (const std::string& bytes : broken) {
    write_bytes(file, bytes);
    EXPECT_EQ(fingerprint_of_all(load()), expected);
    EXPECT_EQ(bytes_in(file), good);
  }
}

TEST_F(RowCacheTest, DamagedTokensAreNeverUsed) {
  load();
  const fs::path file = cached().front();
  std::string bytes = bytes_in(file);
  bytes[3] = 0x7f;
  write_bytes(file, bytes);
  const Dataset dataset = load();
  EXPECT_THROW(dataset.examples.front(), Error);
  EXPECT_NO_THROW(dataset.examples[1]);
}

TEST_F(RowCacheTest, BadRowsLeaveNothing) {
  write_bytes(rows_, cached_rows() + "{\"input_ids\": [1000, 1]}\n");
  EXPECT_THROW(load(), Error);
  EXPECT_TRUE(cached().empty());
}

TEST_F(RowCacheTest, WhereNothingCanBeWrittenRowsStayInMemory) {
  write_bytes(options_.cache, "a file, no folder");
  EXPECT_EQ(load().examples.size(), 500U);
}

TEST_F(RowCacheTest, TheOldestFilesAreRemovedFirst) {
  const fs::path folder = folder_.path() / "full";
  fs::create_directory(folder);
  const auto now = fs::file_time_type::clock::now();
  for (const int age : {1, 2, 3, 4}) {
    const fs::path file = folder / fmt::format("{}.rows", age);
    write_bytes(file, std::string(100, 'x'));
    fs::last_write_time(file, now - std::chrono::hours(age));
  }
  write_bytes(folder / "other.txt", std::string(1000, 'x'));
  write_bytes(folder / "a.rows.1-0.partial", "x");
  fs::last_write_time(folder / "a.rows.1-0.partial", now - std::chrono::hours(30));
  tidy_cache_folder(folder, folder / "4.rows", 200);
  EXPECT_TRUE(fs::exists(folder / "1.rows") && fs::exists(folder / "4.rows"));
  EXPECT_FALSE(fs::exists(folder / "2.rows") || fs::exists(folder / "3.rows"));
  EXPECT_TRUE(fs::exists(folder / "other.txt"));
  EXPECT_FALSE(fs::exists(folder / "a.rows.1-0.partial"));
}

/// What one thread and several make of rows: the examples, or the error.
std::string outcome_of(const std::string& path, unsigned threads) {
  DatasetOptions options;
  options.threads = threads;
  options.max_length = 3;
  try {
    const Dataset dataset = load_dataset(path, nullptr, 100, options);
    return fingerprint_of_all(dataset) + facts_of(dataset);
  } catch (const Error& error) {
    return error.what();
  }
}

TEST_F(RowCacheTest, ThreadsChangeNothing) {
  const std::string bad = "{\"input_ids\": [1000, 1]}\nno JSON\n{\"other\": 1}\n";
  const std::vector<std::string> texts{
      cached_rows(), cached_rows() + bad + cached_rows() + bad, bad + cached_rows(),
      "[" + std::string(R"({"input_ids": [1, 2]}, {"input_ids": [7, 8, 9, 9]})") + "]",
      R"([{"input_ids": [1, 200]}, 5, {"input_ids": [1, 2]}, {"input_ids")"};
  for (const std::string& text : texts) {
    write_bytes(rows_, text);
    const std::string expected = outcome_of(rows_.string(), 0);
    for (const unsigned threads : {1U, 2U, 5U}) EXPECT_EQ(outcome_of(rows_.string(), threads), expected);
  }
  std::string many;
  for (int i = 0; i < 3000; ++i) many += i % 2 == 0 ? "{\"input_ids\": [1, 2]}\n" : "no JSON\n";
  write_bytes(rows_, many);
  EXPECT_EQ(outcome_of(rows_.string(), 3), outcome_of(rows_.string(), 0)) << "reading ends early";
}

}  // namespace
}  // namespace lowrank
