// Rows of benchmarks: how they are written, and which of them validate.
#include <algorithm>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "study/benchmark/rows.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

std::vector<nlohmann::json> rows_in(const std::filesystem::path& path) {
  std::istringstream lines(test::content_of(path));
  std::vector<nlohmann::json> rows;
  for (std::string line; std::getline(lines, line);) rows.push_back(nlohmann::json::parse(line));
  return rows;
}

std::multiset<std::string> texts_in(const std::filesystem::path& path) {
  std::multiset<std::string> texts;
  for (const nlohmann::json& row : rows_in(path)) texts.insert(row.dump());
  return texts;
}

/// `groups` prompts with `of_each` answers each; every `of_each`-th row has the same prompt.
std::vector<BenchmarkRow> example_rows(int groups, int of_each) {
  std::vector<BenchmarkRow> rows;
  for (int answer = 0; answer < of_each; ++answer) {
    for (int group = 0; group < groups; ++group)
      rows.push_back(prompt_row(fmt::format("prompt {}", group), fmt::format(" answer {}", answer), "x"));
  }
  return rows;
}

BenchmarkRows source_of(std::vector<BenchmarkRow> rows) {
  return [rows = std::move(rows)](const std::function<void(BenchmarkRow)>& take) {
    for (const BenchmarkRow& row : rows) take(row);
  };
}

TEST(BenchmarkRowsWritten, ValidationTakesATwentiethInWholeGroups) {
  const test::TemporaryFolder folder;
  write_training_rows(source_of(example_rows(400, 3)), nullptr, folder.path());
  std::set<std::string> trained, validated;
  const auto train = rows_in(folder.path() / "train.jsonl");
  const auto validation = rows_in(folder.path() / "validation.jsonl");
  for (const auto& row : train) trained.insert(row["prompt"]);
  for (const auto& row : validation) validated.insert(row["prompt"]);
  EXPECT_EQ(validation.size(), 60);
  EXPECT_EQ(train.size(), 1140);
  EXPECT_EQ(validated.size(), 20);
  EXPECT_EQ(trained.size(), 380);
  // The groups lie far apart: a run of neighbours would be a fault of the hash.
  int64_t neighbours = 0;
  for (const std::string& prompt : validated) {
    const int number = std::stoi(prompt.substr(7));
    neighbours += validated.contains(fmt::format("prompt {}", number + 1)) ? 1 : 0;
  }
  EXPECT_LE(neighbours, 5);
}

TEST(BenchmarkRowsWritten, ValidationDoesNotDependOnTheOrder) {
  const test::TemporaryFolder first, second;
  std::vector<BenchmarkRow> rows = example_rows(50, 2);
  write_training_rows(source_of(rows), nullptr, first.path());
  std::ranges::reverse(rows);
  write_training_rows(source_of(rows), nullptr, second.path());
  EXPECT_EQ(texts_in(first.path() / "validation.jsonl"), texts_in(second.path() / "validation.jsonl"));
  EXPECT_EQ(rows_in(first.path() / "train.jsonl").front()["prompt"],
            rows_in(second.path() / "train.jsonl").back()["prompt"]);
}

TEST(BenchmarkRowsWritten, ValidationHasAtMostAThousandRowsAndLeavesSomeToTrainOn) {
  const test::TemporaryFolder folder;
  write_training_rows(source_of(example_rows(30'000, 1)), nullptr, folder.path());
  EXPECT_EQ(rows_in(folder.path() / "validation.jsonl").size(), 1000);
  write_training_rows(source_of(example_rows(2, 30)), nullptr, folder.path());
  EXPECT_EQ(rows_in(folder.path() / "validation.jsonl").size(), 30);
  EXPECT_EQ(rows_in(folder.path() / "train.jsonl").size(), 30);
  test::expect_error(ErrorKind::invalid, "`validation`", "the same prompt",
                     [&] { write_training_rows(source_of(example_rows(1, 9)), nullptr, folder.path()); });
  test::expect_error(ErrorKind::invalid, "", "no training rows",
                     [&] { write_training_rows(source_of({}), nullptr, folder.path()); });
}

TEST(BenchmarkRowsWritten, GivenValidationRowsStayAsTheyAre) {
  const test::TemporaryFolder folder;
  write_training_rows(source_of(example_rows(3, 1)), source_of(example_rows(2, 1)), folder.path());
  EXPECT_EQ(rows_in(folder.path() / "train.jsonl").size(), 3);
  EXPECT_EQ(rows_in(folder.path() / "validation.jsonl").size(), 2);
}

TEST(BenchmarkRowsWritten, AskedRowsOfOnePromptAreOneWithAllReferences) {
  const test::TemporaryFolder folder;
  std::vector<BenchmarkRow> rows{prompt_row("a", " 1", "1"), prompt_row("b", " 2", "2"),
                                 prompt_row("a", " 3", "3"), prompt_row("a", " 1", "1")};
  const AskedRows asked = write_asked_rows({"test", source_of(rows)}, folder.path());
  EXPECT_EQ(asked.rows, folder.path() / "test.jsonl");
  const std::vector<std::vector<std::string>> expected{{"1", "3", "1"}, {"2"}};
  EXPECT_EQ(asked.references, expected);
  EXPECT_EQ(rows_in(asked.rows).front(),
            nlohmann::json::parse(R"({"prompt":"a","completion":" 1","references":["1","3","1"]})"));
  EXPECT_EQ(write_asked_rows({"few", source_of(rows), true, 2}, folder.path()).references.front().size(), 2);
  const AskedRows apart = write_asked_rows(
      {"labels", source_of({labelled_row({"a"}, 1, "1"), labelled_row({"a"}, 0, "0")}), false},
      folder.path());
  EXPECT_EQ(apart.references.size(), 2);
  EXPECT_EQ(rows_in(apart.rows).back(), nlohmann::json::parse(R"({"text":"a","label":0})"));
  test::expect_error(ErrorKind::invalid, "test", "no rows to ask", [&] {
    write_asked_rows({"test", source_of({})}, folder.path());
  });
}

}  // namespace
}  // namespace lowrank
