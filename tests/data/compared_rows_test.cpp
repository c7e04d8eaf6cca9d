// Rows whose texts are compared: their forms, what is wrong with them, all at once, and their examples.
#include <gtest/gtest.h>

#include "data/dataset.h"
#include "data/rows/rows.h"
#include "support/expect_error.h"
#include "support/places.h"
#include "support/temporary_folder.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {
namespace {

class ComparedRows : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& lines) const {
    folder_.write(name, lines);
    return (folder_.path() / name).string();
  }
  std::vector<Row> rows(const std::string& lines, const RowOptions& options = {}) const {
    std::vector<Row> found;
    read_rows(write("rows.jsonl", lines), options,
              [&](Row row, const nlohmann::ordered_json&) { found.push_back(std::move(row)); });
    return found;
  }
  std::vector<std::string> texts(const std::string& line) const { return rows(line).front().compared->texts; }
  void refused(const std::string& lines, const std::string& part, const RowOptions& options = {}) const {
    test::expect_error(ErrorKind::invalid, "rows.jsonl", part, [&] { rows(lines, options); });
  }

  test::TemporaryFolder folder_;
};

using Texts = std::vector<std::string>;

TEST_F(ComparedRows, NegativesHaveTheFormsOfSentenceTransformers) {
  EXPECT_EQ(texts(R"({"anchor":"a","positive":"b"})"), Texts({"a", "b"}));
  EXPECT_EQ(texts(R"({"anchor":"a","positive":"b","negative":"c"})"), Texts({"a", "b", "c"}));
  EXPECT_EQ(texts(R"({"anchor":"a","positive":"b","negative":["c","d"]})"), Texts({"a", "b", "c", "d"}));
  EXPECT_EQ(texts(R"({"anchor":"a","positive":"b","negative_2":"d","negative_10":"e","negative_1":"c"})"),
            Texts({"a", "b", "c", "d", "e"}));
  EXPECT_EQ(texts(R"({"anchor":"a","positive":"b","negatives":["c"],"negative":null})"),
            Texts({"a", "b", "c"}));
}

TEST_F(ComparedRows, TheFirstRowDecides) {
  EXPECT_EQ(rows(R"({"anchor":"a","positive":"b"})").front().format, RowFormat::pairs);
  const Row scored = rows(R"({"sentence1":"a","sentence2":"b","score":0.25})").front();
  EXPECT_EQ(scored.format, RowFormat::scores);
  EXPECT_EQ(scored.compared->score, 0.25);
  // With a label instead, sentences are classified, unless the format is named.
  const std::string labelled = R"({"sentence1":"a","sentence2":"b","label":1})";
  refused(labelled, "no known fields");
  EXPECT_EQ(rows(labelled, {"label", {}, true}).front().format, RowFormat::labelled);
  EXPECT_EQ(rows(labelled, {"scores", {}, true}).front().compared->score, 1);
  EXPECT_EQ(first_format(write("a.jsonl", labelled), {}), std::nullopt);
  EXPECT_EQ(first_format(write("a.jsonl", R"({"q":"a","d":"b"})"), {"", {"anchor=q", "positive=d"}, true}),
            RowFormat::pairs);
  EXPECT_EQ(first_format(write("a.jsonl", "{broken"), {}), std::nullopt);
  EXPECT_EQ(first_format(write("a.tsv", "sentence1\tsentence2\tscore\nx\ty\t0.5\n"), {}), RowFormat::scores);
}

TEST_F(ComparedRows, ScoresOfTablesAreNumbers) {
  const std::string table = write("a.tsv", "sentence1\tsentence2\tscore\nx\ty\t0.5\nx\ty\t-1\n");
  std::vector<double> scores;
  read_rows(table, {}, [&](const Row& row, const auto&) { scores.push_back(*row.compared->score); });
  EXPECT_EQ(scores, std::vector<double>({0.5, -1}));
}

TEST_F(ComparedRows, AllThatIsWrongIsSaidAtOnce) {
  refused("{\"anchor\":\"a\"}\n{\"anchor\":\" \",\"positive\":3}\n", "there is no \"positive\"");
  refused("{\"anchor\":\"a\"}\n{\"anchor\":\" \",\"positive\":3}\n",
          "\"anchor\" is empty; \"positive\" must be a text, not number");
  refused(R"({"anchor":"a","positive":"b","negative":["c",""]})", "text 2 of \"negative\" is empty");
  refused(R"({"sentence1":"a","sentence2":"b","score":1.5})",
          "\"score\" must be a number from -1 to 1, not 1.5");
  refused(R"({"sentence1":"a","sentence2":"","score":"much"})",
          "\"sentence2\" is empty; \"score\" must be a number from -1 to 1, not much");
  refused(R"({"sentence1":"a","sentence2":"b","score":true})", "not true");
  refused(R"({"sentence1":"a","sentence2":"b"})", "there is no \"score\"", {"scores", {}, true});
  refused(R"({"query":"a","answer":"b"})", "`columns` anchor=NAME,positive=NAME", {"scores", {}, true});
}

class ComparedExamples : public ComparedRows {
 protected:
  Dataset load(const std::string& lines, int64_t max_length = 0) const {
    DatasetOptions options;
    options.compared = TextPrompts{"Q: ", "D: "};
    options.max_length = max_length;
    return load_dataset(write("rows.jsonl", lines), &tokenizer_, tokenizer_.spec().vocabulary.size(),
                        options);
  }
  Tokenizer tokenizer_ = load_tokenizer(test::fixture("embeddings/bert"));
};

TEST_F(ComparedExamples, HoldWholeTextsWithTheirPrompts) {
  const Dataset found = load(R"({"anchor":"a mill","positive":"a river","negative":"who"})");
  const Example example = found.examples.front();
  std::vector<int64_t> all;
  std::vector<int64_t> ends;
  for (const char* text : {"Q: a mill", "D: a river", "D: who"}) {
    const std::vector<int64_t> ids = tokenizer_.encode(text, true);
    all.insert(all.end(), ids.begin(), ids.end());
    ends.push_back(std::ssize(all));
  }
  EXPECT_EQ(example.tokens, all);
  EXPECT_EQ(text_ends(example), ends);
  EXPECT_FALSE(example.label.has_value());
  EXPECT_EQ(found.format, "pairs");
}

TEST_F(ComparedExamples, EachTextIsCut) {
  const Dataset found = load(R"({"sentence1":"where is the river","sentence2":"w","score":0.5})", 4);
  const Example example = found.examples.front();
  EXPECT_EQ(text_ends(example).front(), 4);
  EXPECT_EQ(example.tokens[3], tokenizer_.spec().suffix.front());
  EXPECT_EQ(found.truncated, 1);
  EXPECT_EQ(example.label, 0.5);
}

TEST_F(ComparedExamples, OtherRowsAreRefused) {
  test::expect_error(ErrorKind::invalid, "rows.jsonl", "not on rows of format text",
                     [&] { load(R"({"text":"a"})"); });
  DatasetOptions plain;
  test::expect_error(ErrorKind::invalid, "rows.jsonl", "`task` embedding", [&] {
    load_dataset(write("rows.jsonl", R"({"anchor":"a","positive":"b"})"), &tokenizer_, 1000, plain);
  });
}

}  // namespace
}  // namespace lowrank
