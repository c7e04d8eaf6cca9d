// The entries of the table, on a few lines in the form of each published file.
#include <sstream>

#include <gtest/gtest.h>

#include "base/log.h"
#include "metrics/registry.h"
#include "study/benchmark/benchmark.h"
#include "study/benchmark/description.h"
#include "study/benchmark/generated_text.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

using Json = nlohmann::json;

class Benchmarks : public testing::Test {
 protected:
  Benchmarks() {
    std::filesystem::create_directories(source());
    std::filesystem::create_directories(target());
    set_log_sink([this](LogLevel, std::string_view line) { log += std::string(line) + '\n'; });
  }
  ~Benchmarks() override { set_log_sink({}); }

  std::filesystem::path source() const { return folder.path() / "source"; }
  std::filesystem::path target() const { return folder.path() / "target"; }

  void write(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories((source() / name).parent_path());
    folder.write("source/" + name, content);
  }

  PreparedBenchmark prepare(std::string_view name, const nlohmann::ordered_json& options = nullptr) const {
    return benchmark_of_name(name).prepare(source(), target(), options);
  }

  static std::vector<Json> rows_of(const std::filesystem::path& path) {
    std::istringstream lines(test::content_of(path));
    std::vector<Json> rows;
    for (std::string line; std::getline(lines, line);) rows.push_back(Json::parse(line));
    return rows;
  }

  test::TemporaryFolder folder;
  std::string log;
};

TEST_F(Benchmarks, AllScoreByKnownMetricsAndNameTheirOptions) {
  for (const BenchmarkInfo& info : all_benchmarks()) {
    nlohmann::ordered_json options = nlohmann::ordered_json::object();
    if (info.name == "glue") options["task"] = "mrpc";
    const BenchmarkScoring scoring = info.scoring(options);
    EXPECT_EQ(scoring.metrics.empty(), scoring.answer == Answer::loss) << info.name;
    for (const std::string& metric : scoring.metrics)
      EXPECT_NO_THROW(metrics::metric_of_name(metric)) << metric;
    EXPECT_FALSE(info.options().fields.empty()) << info.name;
    EXPECT_FALSE(info.description.empty());
    options["trian"] = "x";
    test::expect_error(ErrorKind::invalid, info.name, "did you mean train?", [&] { info.scoring(options); });
    test::expect_error(ErrorKind::invalid, info.name, "did you mean train?",
                       [&] { info.prepare(source(), target(), options); });
  }
  test::expect_error(ErrorKind::not_found, "gsm8", "did you mean gsm8k?", [] { benchmark_of_name("gsm8"); });
}

TEST_F(Benchmarks, MissingFilesAreNamedAtOnce) {
  test::expect_error(ErrorKind::not_found, source().string(),
                     "no train (train.txt or trainset.csv), no test (test.txt or testset_w_refs.csv)",
                     [&] { prepare("e2e"); });
  test::expect_error(ErrorKind::not_found, "source", "no validation (mine.json), no test (test.json)", [&] {
    write("train.json", "{}");
    prepare("webnlg", {{"validation", "mine.json"}});
  });
  test::expect_error(ErrorKind::not_found, "nowhere", "no such folder",
                     [&] { benchmark_of_name("dart").prepare(source() / "nowhere", target(), nullptr); });
  write("file", "x");
  test::expect_error(ErrorKind::invalid, "file", "expects the folder",
                     [&] { benchmark_of_name("dart").prepare(source() / "file", target(), nullptr); });
}

TEST_F(Benchmarks, E2eReadsLinesOfTheRepository) {
  write("examples/NLG/data/e2e/train.txt",
        "name : Red Hen | food : Thai||A Thai place , the Red Hen . \nname : Old Inn | area : riverside||By "
        "the river .\n");
  write("examples/NLG/data/e2e/valid.txt", "name : Elm||Elm is a pub .\n");
  write("examples/NLG/data/e2e/test.txt", "name : A||One .\nname : B||Two .\nname : A||Three .\n");
  const PreparedBenchmark prepared = prepare("e2e");
  EXPECT_EQ(
      rows_of(prepared.train).front(),
      Json::parse(
          R"({"prompt":"name : Red Hen | food : Thai ||","completion":" A Thai place , the Red Hen ."})"));
  EXPECT_EQ(rows_of(prepared.validation).size(), 1);
  ASSERT_EQ(prepared.asked.size(), 1);
  const std::vector<std::vector<std::string>> expected{{"One .", "Three ."}, {"Two ."}};
  EXPECT_EQ(prepared.asked[0].references, expected);
}

TEST_F(Benchmarks, E2eReadsTheChallengesTables) {
  const std::string row =
      "\"name[Red Hen], eatType[pub], priceRange[less than £20], familyFriendly[yes]\",\"A pub, cheap.\"\n";
  write("trainset.csv", "mr,ref\n" + row + "name[Elm],Elm.\n");
  write("testset_w_refs.csv", "mr,ref\n" + row);
  const PreparedBenchmark prepared = prepare("e2e");
  EXPECT_EQ(rows_of(prepared.asked[0].rows).front()["prompt"],
            "name : Red Hen | Type : pub | price : less than £20 | family friendly : yes ||");
  write("testset_w_refs.csv", "mr,ref\nname Red Hen,text\n");
  test::expect_error(ErrorKind::invalid, "testset_w_refs.csv:2", "not a list of name[value]",
                     [&] { prepare("e2e"); });
}

TEST_F(Benchmarks, BrokenLinesAreNamed) {
  write("train.txt", "a||b\nno separator\na||\na||b||c\nok||fine\n");
  write("test.txt", "a||b\n");
  test::expect_error(ErrorKind::invalid, "train.txt:2",
                     "expected properties||description, found \"no separator\"", [&] { prepare("e2e"); });
  test::expect_error(ErrorKind::invalid, "train.txt:3", "the description is empty", [&] { prepare("e2e"); });
  test::expect_error(ErrorKind::invalid, "train.txt:4", "more than one ||", [&] { prepare("e2e"); });
}

constexpr const char* webnlg_entry = R"({"entries":[
  {"1":{"category":"Food","lexicalisations":[{"comment":"good","lex":" Soup is hot. "},{"comment":"toFix","lex":"bad"},
    {"comment":"good","lex":"Hot soup."}],"modifiedtripleset":[{"subject":"Soup","property":"isA","object":"hot_dish"},
    {"subject":"Soup","property":"madeOf","object":"\"water\""}]}},
  {"2":{"category":"Politician","lexicalisations":[{"comment":"good","lex":"Ada leads."}],
    "modifiedtripleset":[{"subject":"Ada","property":"leads","object":"Town"}]}}]})";

TEST_F(Benchmarks, WebNlgTakesGoodTextsAndTheChosenCategories) {
  write("train.json", webnlg_entry);
  write("test.json", webnlg_entry);
  const PreparedBenchmark all = prepare("webnlg");
  const std::vector<std::vector<std::string>> expected{{"Soup is hot.", "Hot soup."}, {"Ada leads."}};
  EXPECT_EQ(all.asked[0].references, expected);
  EXPECT_EQ(rows_of(all.asked[0].rows)[0]["prompt"], "Soup : isA : hot_dish | Soup : madeOf : \"water\" ||");
  EXPECT_EQ(rows_of(all.train).size() + rows_of(all.validation).size(), 3);
  EXPECT_EQ(prepare("webnlg", {{"categories", "unseen"}}).asked[0].references.size(), 1);
  EXPECT_EQ(prepare("webnlg", {{"most_references", 1}}).asked[0].references[0].size(), 1);
  test::expect_error(ErrorKind::invalid, "categories", "seen", [&] {
    prepare("webnlg", {{"categories", "sene"}});
  });
  write("test.json", R"({"entries":[{"1":{"category":"Food"}},{"2":[]}]})");
  test::expect_error(ErrorKind::corrupt, "test.json: entry 1", "modifiedtripleset",
                     [&] { prepare("webnlg"); });
  write("test.json", "[]");
  test::expect_error(ErrorKind::invalid, "test.json", "expected an object with \"entries\"",
                     [&] { prepare("webnlg"); });
  write("test.json", "{\"entries\": [\n{]");
  test::expect_error(ErrorKind::corrupt, "test.json", "line 2", [&] { prepare("webnlg"); });
}

TEST_F(Benchmarks, DartJoinsEntriesOfTheSameTriples) {
  const std::string entry =
      R"({"tripleset":[["Ålesund","CITY OF","Norway"]],"annotations":[{"source":"s","text":"TEXT"}]})";
  const auto with = [&](const char* text) { return std::string(entry).replace(entry.find("TEXT"), 4, text); };
  write("dart-v1.1.1-full-train.json", "[" + with("a") + "," + with("b") +
                                           R"(,{"tripleset":[["x","y","z"]],"annotations":[{"text":"c"}]}])");
  write("dart-v1.1.1-full-test.json", "[" + with("One.") + "," + with("Two.") + "]");
  const PreparedBenchmark prepared = prepare("dart");
  EXPECT_EQ(prepared.asked[0].references, (std::vector<std::vector<std::string>>{{"One.", "Two."}}));
  EXPECT_EQ(rows_of(prepared.asked[0].rows)[0]["prompt"], "Ålesund : city of : Norway ||");
  write("dart-v1.1.1-full-test.json", R"([{"tripleset":[["a","b"]],"annotations":[]}])");
  test::expect_error(ErrorKind::corrupt, "entry 1", "a triple without three parts", [&] { prepare("dart"); });
}

TEST_F(Benchmarks, GlueReadsEachTasksTable) {
  struct Case {
    const char *task, *table;
    Json first;
    std::vector<std::string> metrics;
  };
  const std::vector<Case> cases{
      {"cola",
       "gj04\t1\t\tShe \"left\".\ngj04\t0\t*\tLeft she she.\n",
       {{"text", "She \"left\"."}, {"label", 1}},
       {"matthews"}},
      {"sst2",
       "sentence\tlabel\na fine film \t1\nnot so\t0\n",
       {{"text", "a fine film "}, {"label", 1}},
       {"accuracy"}},
      {"mrpc",
       "\xEF\xBB\xBFQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\tHe \"said so.\tShe "
       "did.\n1\t1\t2\tA.\tB.\n",
       {{"sentence1", "He \"said so."}, {"sentence2", "She did."}, {"label", 0}},
       {"accuracy", "f1"}},
      {"qqp",
       "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tWhy?\tWhy not?\t0\n4\t5\t6\tA?\tB?\t1\n",
       {{"sentence1", "Why?"}, {"sentence2", "Why not?"}, {"label", 0}},
       {"accuracy", "f1"}},
      {"stsb",
       "index\tgenre\tfilename\tyear\told_"
       "index\tsource1\tsource2\tsentence1\tsentence2\tscore\n0\tg\tf\ty\t1\tn\tn\tA cat.\tA "
       "dog.\t2.500\n1\tg\tf\ty\t1\tn\tn\tA.\tB.\t5\n",
       {{"sentence1", "A cat."}, {"sentence2", "A dog."}, {"label", 2.5}},
       {"pearson", "spearman"}},
      {"qnli",
       "index\tquestion\tsentence\tlabel\n0\tWho?\tAda.\tentailment\n1\tWhy?\tNo.\tnot_entailment\n",
       {{"sentence1", "Who?"}, {"sentence2", "Ada."}, {"label", "entailment"}},
       {"accuracy"}},
      {"rte",
       "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\tnot_entailment\n1\tC.\tD.\tentailment\n",
       {{"sentence1", "A."}, {"sentence2", "B."}, {"label", "not_entailment"}},
       {"accuracy"}},
      {"wnli",
       "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\t1\n1\tC.\tD.\t0\n",
       {{"sentence1", "A."}, {"sentence2", "B."}, {"label", 1}},
       {"accuracy"}}};
  for (const Case& one : cases) {
    write("train.tsv", one.table);
    write("dev.tsv", one.table);
    const nlohmann::ordered_json options{{"task", one.task}};
    const PreparedBenchmark prepared = prepare("glue", options);
    EXPECT_EQ(rows_of(prepared.asked[0].rows).front(), one.first) << one.task;
    EXPECT_EQ(rows_of(prepared.asked[0].rows).size(), 2) << one.task;
    const BenchmarkScoring scoring = benchmark_of_name("glue").scoring(options);
    EXPECT_EQ(scoring.metrics, one.metrics);
    EXPECT_EQ(scoring.answer == Answer::number, std::string_view(one.task) == "stsb");
  }
  EXPECT_TRUE(log.empty()) << log;
}

TEST_F(Benchmarks, GlueAsksBothOfMnlisDevelopmentTables) {
  const std::string head = "index\tsentence1\tsentence2\tlabel1\tgold_label\n";
  write("MNLI/train.tsv", head + "0\tA.\tB.\tneutral\tneutral\n1\tC.\tD.\tneutral\tcontradiction\n");
  write("MNLI/dev_matched.tsv", head + "0\tA.\tB.\tneutral\tentailment\n");
  write("MNLI/dev_mismatched.tsv", head + "0\tA.\tB.\tneutral\tneutral\n1\tA.\tB.\tneutral\tentailment\n");
  const PreparedBenchmark prepared = prepare("glue", {{"task", "mnli"}});
  ASSERT_EQ(prepared.asked.size(), 2);
  EXPECT_EQ(prepared.asked[0].name, "matched");
  EXPECT_EQ(prepared.asked[0].references, (std::vector<std::vector<std::string>>{{"entailment"}}));
  EXPECT_EQ(prepared.asked[1].rows, target() / "mismatched.jsonl");
  EXPECT_EQ(prepared.asked[1].references.size(), 2);
}

TEST_F(Benchmarks, GlueAsksATestTableThatHasLabels) {
  write("train.tsv", "a\t1\nb\t0\n");
  write("dev.tsv", "c\t1\n");
  write("test.tsv", "d\t0\ne\t1\nf\t1\n");
  const PreparedBenchmark prepared = prepare("glue", {{"task", "sst2"}});
  EXPECT_EQ(prepared.asked[0].references.size(), 3);
  EXPECT_EQ(rows_of(prepared.validation).front(), Json::parse(R"({"text":"c","label":1})"));
  EXPECT_EQ(rows_of(prepared.train).size(), 2);
  write("test.tsv", "index\tsentence\n0\td\n");
  const PreparedBenchmark published = prepare("glue", {{"task", "sst2"}});
  EXPECT_EQ(published.asked[0].references.size(), 1);
  EXPECT_EQ(rows_of(published.train).size() + rows_of(published.validation).size(), 2);
  test::expect_error(ErrorKind::invalid, "test.tsv", "no labels", [&] {
    prepare("glue", {{"task", "sst2"}, {"test", "test.tsv"}});
  });
  test::expect_error(ErrorKind::invalid, "`task`", "cola, sst2, mrpc", [&] { prepare("glue"); });
  write("dev.tsv", "c\t1\nd\tpositive\n");
  prepare("glue", {{"task", "sst2"}});
  EXPECT_NE(log.find("1 of 2 lines cannot be read: line 2 has the label \"positive\", where SST-2 has 0, 1"),
            std::string::npos)
      << log;
}

TEST_F(Benchmarks, Gsm8kFindsNumbersAsTheReferenceDoes) {
  const auto extract = benchmark_of_name("gsm8k").scoring(nullptr).extract;
  ASSERT_NE(extract, nullptr);
  // What Python's re.search(r"#### (\-?[0-9\.\,]+)", text) and replace(",", "") give.
  const std::vector<std::pair<const char*, const char*>> cases{{"#### 18", "18"},
                                                               {"so 3\n#### 1,234,567\n", "1234567"},
                                                               {"#### -5.50 kg", "-5.50"},
                                                               {"#### 18.", "18."},
                                                               {"####18", "[invalid]"},
                                                               {"####  18", "[invalid]"},
                                                               {"#### $18", "[invalid]"},
                                                               {"#### $18 #### 19", "19"},
                                                               {"#### 1\n#### 2", "1"},
                                                               {"##### 7", "7"},
                                                               {"#### --3", "[invalid]"},
                                                               {"#### -", "[invalid]"},
                                                               {"#### ,", ""},
                                                               {"", "[invalid]"},
                                                               {"#### ٣", "[invalid]"},
                                                               {"#### 1/2", "1"},
                                                               {"#### .5", ".5"},
                                                               {"18", "[invalid]"}};
  for (const auto& [text, number] : cases) EXPECT_EQ(extract(text), number) << text;
}

TEST_F(Benchmarks, Gsm8kRowsHaveTheQuestionOnALine) {
  const std::string row = R"({"question":"How many?","answer":"1+1=<<1+1=2>>2\n#### 2"})";
  write("train.jsonl", row + "\n" + R"({"question":"Who?","answer":"#### 3"})" + "\n");
  write("test.jsonl", row + "\n");
  EXPECT_EQ(
      rows_of(prepare("gsm8k").asked[0].rows).front(),
      Json::parse(
          R"({"prompt":"How many?\n","completion":"1+1=<<1+1=2>>2\n#### 2","references":["1+1=<<1+1=2>>2\n#### 2"]})"));
  EXPECT_EQ(prepare("gsm8k", {{"calculations", false}}).asked[0].references[0][0], "1+1=2\n#### 2");
  write("test.jsonl", row + "\n" + R"({"question":"How?","answer":"2"})" + "\n{\"question\":1}\n");
  test::expect_error(ErrorKind::invalid, "test.jsonl:2", "no line `#### number`", [&] { prepare("gsm8k"); });
  test::expect_error(ErrorKind::invalid, "test.jsonl:3", "no text \"answer\"", [&] { prepare("gsm8k"); });
}

TEST_F(Benchmarks, JsonlTakesRowsOfOnesOwn) {
  write("train.jsonl",
        "{\"prompt\":\"a\",\"completion\":\" b\",\"id\":1.10}\n{\"prompt\":\"c\",\"completion\":\" d\"}\n");
  write("test.jsonl",
        "{\"prompt\":\"a\",\"completion\":\" "
        "b\"}\n{\"prompt\":\"c\",\"references\":[\"e\",\"f\"],\"completion\":\"g\"}\n"
        "{\"prompt\":\"a\",\"completion\":\" h\"}\n");
  const nlohmann::ordered_json options{{"metrics", {"rouge_l", "exact_match"}}, {"max_new_tokens", 7}};
  const PreparedBenchmark prepared = prepare("jsonl", options);
  EXPECT_EQ(prepared.asked[0].references, (std::vector<std::vector<std::string>>{{" b", " h"}, {"e", "f"}}));
  const std::string written = test::content_of(prepared.train) + test::content_of(prepared.validation);
  EXPECT_NE(written.find("\"id\":1.10}"), std::string::npos) << written;
  const BenchmarkScoring scoring = benchmark_of_name("jsonl").scoring(options);
  EXPECT_EQ(scoring.generation.max_new_tokens, 7);
  EXPECT_EQ(scoring.extract(" a \n"), "a");
  test::expect_error(ErrorKind::invalid, "accuracy", "different things", [&] {
    prepare("jsonl", {{"metrics", {"bleu", "accuracy"}}});
  });
  test::expect_error(ErrorKind::invalid, "test.jsonl", "", [&] {
    prepare("jsonl", {{"metrics", {"accuracy"}}});
  });
  EXPECT_EQ(prepare("jsonl", {{"metrics", nlohmann::ordered_json::array()}}).asked[0].references.size(), 3);
}

TEST_F(Benchmarks, JsonlTakesLabelledRowsForMetricsOfLabels) {
  write("train.jsonl", "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"b\",\"label\":\"y\"}\n");
  write("test.jsonl", "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"a\",\"label\":\"y\"}\n");
  const nlohmann::ordered_json options{{"metrics", {"accuracy", "f1_macro"}}};
  EXPECT_EQ(prepare("jsonl", options).asked[0].references,
            (std::vector<std::vector<std::string>>{{"x"}, {"y"}}));
  EXPECT_EQ(benchmark_of_name("jsonl").scoring(options).answer, Answer::label);
  test::expect_error(ErrorKind::invalid, "test.jsonl", "a prompt or a conversation", [&] {
    prepare("jsonl", {{"metrics", {"bleu"}}, {"format", "label"}});
  });
}

TEST_F(Benchmarks, ChatAsksForTheLastAnswer) {
  const std::string row =
      R"({"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello."},{"role":"user","content":"NAME?"},{"role":"assistant","content":"Ada"}]})";
  write("train.jsonl", row + "\n" + std::string(row).replace(row.find("NAME"), 4, "Age") + "\n");
  write("test.jsonl", row + "\n");
  const nlohmann::ordered_json options{{"score", "exact_match"}};
  EXPECT_EQ(prepare("chat", options).asked[0].references, (std::vector<std::vector<std::string>>{{"Ada"}}));
  EXPECT_EQ(benchmark_of_name("chat").scoring(options).metrics, std::vector<std::string>{"exact_match"});
  EXPECT_EQ(benchmark_of_name("chat").scoring(nullptr).answer, Answer::loss);
  write("test.jsonl", "{\"prompt\":\"a\",\"completion\":\"b\"}\n");
  test::expect_error(ErrorKind::invalid, "test.jsonl:1", "needs conversations", [&] { prepare("chat"); });
}

TEST_F(Benchmarks, TheDescriptionLeadsBackToTheBenchmark) {
  write("train.tsv", "a\t1\nb\t0\n");
  write("dev.tsv", "c\t1\n");
  const nlohmann::ordered_json options{{"task", "sst2"}};
  const BenchmarkInfo& info = benchmark_of_name("glue");
  const PreparedBenchmark prepared = prepare("glue", options);
  const nlohmann::ordered_json described = write_description(info, options, prepared, target());
  EXPECT_EQ(described["asked"][0],
            nlohmann::ordered_json::parse(R"({"file":"test.jsonl","rows":1,"references":1,"name":"test"})"));
  EXPECT_EQ(described["commands"][1],
            "lowrank classify --model MODEL --adapter adapter --data test.jsonl --output test_answers.jsonl");
  const DescribedBenchmark read = read_description(target());
  EXPECT_EQ(read.benchmark, "glue");
  EXPECT_EQ(read.options, options);
  folder.write("target/benchmark.json", "{\"benchmark\": 1}");
  test::expect_error(ErrorKind::corrupt, "benchmark.json", "expected", [&] { read_description(target()); });
}

TEST(GeneratedText, WordsAreDividedAsThePapersCodeDoes) {
  // ' '.join(' '.join(re.split('(\W)', text.lower())).split()) of Python.
  const std::vector<std::pair<const char*, const char*>> cases{
      {"The A.C. Cesena's ground, 3.5 km!", "the a . c . cesena ' s ground , 3 . 5 km !"},
      {"snake_case \t x", "snake_case x"},
      {"École 8½ — naïve", "école 8½ — naïve"},
      {"one\n\ntwo", "one"},
      {"a--b", "a - - b"},
      {"e\xCC\x81t", "e \xCC\x81 t"},
      {"", ""}};
  for (const auto& [text, words] : cases) EXPECT_EQ(divided_words(text), words) << text;
}

}  // namespace
}  // namespace lowrank
