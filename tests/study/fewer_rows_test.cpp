// Which rows of a benchmark a comparison uses.
#include "study/compare/fewer_rows.h"

#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "study/compare/questions.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

std::string text_in(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(FewerRows, AreEvenlySpacedAndKeepTheirReferences) {
  const test::TemporaryFolder folder;
  AskedRows all{"test", folder.write("all.jsonl", "0\n1\n\n2\n3\n4\n"), {{"a"}, {"b"}, {"c"}, {"d"}, {"e"}}};
  const AskedRows two = fewer_rows(all, 2, folder.path() / "two.jsonl");
  EXPECT_EQ(text_in(two.rows), "0\n2\n");
  EXPECT_EQ(two.references, (std::vector<std::vector<std::string>>{{"a"}, {"c"}}));
  EXPECT_EQ(fewer_rows(all, 0, folder.path() / "x").rows, all.rows);
  EXPECT_EQ(fewer_rows(all, 5, folder.path() / "x").rows, all.rows);
  all.references.push_back({"f"});
  test::expect_error(ErrorKind::corrupt, "all.jsonl", "5 rows for 6 lists of references",
                     [&] { fewer_rows(all, 2, folder.path() / "x"); });
}

TEST(FewerRows, WithoutReferences) {
  const test::TemporaryFolder folder;
  const std::filesystem::path all = folder.write("all.jsonl", "0\n1\n2");
  EXPECT_EQ(fewer_lines(all, 3, folder.path() / "x"), all);
  EXPECT_EQ(text_in(fewer_lines(all, 1, folder.path() / "one.jsonl")), "0\n");
  EXPECT_EQ(evenly_spaced(10, 4), (std::vector<size_t>{0, 2, 5, 7}));
}

TEST(Questions, ScoresWhatABenchmarkExtracts) {
  Questions questions;
  questions.references = {{"#### 4", "#### 5"}, {"#### 7"}};
  BenchmarkScoring scoring;
  scoring.metrics = {"exact_match"};
  const auto score = [&] {
    return scores_of({"so it is #### 5", "#### 8"}, questions, scoring).front().second;
  };
  EXPECT_EQ(score(), 0);
  scoring.extract = [](std::string_view text) { return std::string(text.substr(text.find('#'))); };
  EXPECT_EQ(score(), 0.5);
  scoring.extract = nullptr;
  scoring.metrics = {"accuracy", "pearson"};
  questions.answer = Answer::number;
  questions.references = {{"4"}, {"2"}};
  test::expect_error(ErrorKind::invalid, "so it is", "no number", [&] {
    scores_of({"so it is", "2"}, questions, scoring);
  });
}

}  // namespace
}  // namespace lowrank
