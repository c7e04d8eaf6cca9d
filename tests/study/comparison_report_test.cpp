// The tables and the page of a comparison, from records that are known.
#include "study/compare/comparison_report.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "study/compare/comparison_page.h"
#include "study/compare/comparison_tables.h"
#include "study/compare/run_follower.h"
#include "study/compare/run_store.h"
#include "support/expect_error.h"
#include "support/program.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

RunRecord run_of(const std::string& label, int64_t seed, double loss, double score) {
  RunRecord record;
  record.label = label;
  record.method = "lora";
  record.seed = seed;
  record.learning_rate = 1e-3;
  record.steps = 20;
  record.tokens = 4000;
  record.seconds = 8;
  record.peak_bytes = 500'000'000;
  record.adapter_bytes = 12'345;
  record.loss_before = 5;
  record.loss = loss;
  record.general_loss_before = 3;
  record.general_loss = 3.25;
  record.latency = 0.02;
  record.metrics = {{"bleu", score}};
  record.curve = {{1, 5.0}, {2, 4.0}};
  record.samples = {{"prompt", "reference", "</script><script>alert(1)</script>"}};
  return record;
}

ComparisonReport known_report() {
  ComparisonReport report;
  report.model = "models/small";
  report.benchmark = "e2e";
  report.metrics = {{"bleu", true}};
  PlannedMethod planned{"LoRA, \"r\" | 4", "lora"};
  planned.trained = 1000;
  planned.share = 0.01;
  report.methods = {planned};
  report.runs = {run_of(planned.label, 1, 2.0, 30), run_of(planned.label, 2, 2.5, 34)};
  report.runs.push_back(run_of(planned.label, 3, 9, 1));
  report.runs.back().problem = "the loss is not finite";
  report.finished = true;
  return report;
}

TEST(ComparisonReport, QualityAgainstParametersIsDrawnOnceAMethodIsMeasured) {
  const test::TemporaryFolder folder;
  ComparisonReport report = known_report();
  write_report(report, folder.path() / "some");
  const std::string chart = test::content_of(folder.path() / "some/quality.svg");
  for (const char* text : {">LoRA, &quot;r&quot; | 4<", ">bleu<", ">trained parameters<", ">e2e on small<"})
    EXPECT_NE(chart.find(text), std::string::npos) << text;
  EXPECT_NE(markdown_of(report).find("](quality.svg)"), std::string::npos);
  report.runs.clear();
  write_report(report, folder.path() / "none");
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "none/quality.svg"));
  EXPECT_EQ(markdown_of(report).find("quality.svg"), std::string::npos);
}

TEST(ComparisonReport, MeansLeaveOutWhatDiverged) {
  const std::vector<MethodSummary> rows = summaries_of(known_report());
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].runs, 3);
  EXPECT_EQ(rows[0].diverged, 1);
  ASSERT_TRUE(rows[0].metrics[0].second);
  EXPECT_DOUBLE_EQ(rows[0].metrics[0].second->mean, 32);
  EXPECT_DOUBLE_EQ(*rows[0].metrics[0].second->deviation, std::sqrt(8.0));
  EXPECT_DOUBLE_EQ(rows[0].loss->mean, 2.25);
  EXPECT_DOUBLE_EQ(rows[0].forgetting->mean, 0.25);
  EXPECT_DOUBLE_EQ(rows[0].tokens_per_second->mean, 500);
  EXPECT_FALSE(rows[0].merged_latency);
}

TEST(ComparisonReport, RatesAtTheEndOfTheirListAreNamed) {
  EXPECT_EQ(place_among(3, {1, 3, 2}), "highest");
  EXPECT_EQ(place_among(1, {3, 1, 2}), "lowest");
  EXPECT_EQ(place_among(2, {1, 3, 2}), "");
  EXPECT_EQ(place_among(2, {2}), "");
  ComparisonReport report = known_report();
  report.methods.front().rates = {1e-4, 1e-3, 1e-2};
  EXPECT_EQ(markdown_of(report).find("the end of the list"), std::string::npos);
  report.methods.front().rates = {1e-3, 1e-2};
  EXPECT_NE(markdown_of(report).find("(the lowest)"), std::string::npos);
}

TEST(ComparisonReport, ASingleRunHasNoDeviation) {
  EXPECT_FALSE(spread_of({3})->deviation);
  EXPECT_FALSE(spread_of({}));
}

TEST(ComparisonReport, MarkdownShowsMeansAndWhatDiverged) {
  const std::string text = markdown_of(known_report());
  EXPECT_NE(text.find("32.00 ± 2.83"), std::string::npos) << text;
  EXPECT_NE(text.find("3, 1 diverged"), std::string::npos) << text;
  EXPECT_NE(text.find("seed 3, learning rate 0.001: diverged after 20 steps: the loss is not finite"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find("not finished"), std::string::npos);
  EXPECT_NE(text.find("ms a token"), std::string::npos) << text;
  EXPECT_EQ(text.find("merged ms"), std::string::npos) << text;  // nothing was merged
  EXPECT_NE(text.find("LoRA, \"r\" \\| 4"), std::string::npos) << text;
}

TEST(ComparisonReport, MarkdownNamesMethodsOfWhichNoRateWorks) {
  ComparisonReport report = known_report();
  report.methods.push_back({"wild", "full"});
  RunRecord tried = run_of("wild", 1, 9, 1);
  tried.problem = "the loss is inf";
  tried.steps = 0;
  report.searches = {{0, tried}};
  const std::string text = markdown_of(report);
  EXPECT_NE(text.find("- wild\n  - learning rate 0.001: failed after 0 steps: the loss is inf\n"),
            std::string::npos)
      << text;
  report.finished = false;
  EXPECT_EQ(markdown_of(report).find("wild"), std::string::npos);
}

TEST(ComparisonReport, CsvQuotesWhatNeedsIt) {
  const std::string text = csv_of(known_report());
  EXPECT_NE(text.find("\r\n\"LoRA, \"\"r\"\" | 4\",lora,1000,0,0.01,0,0.001,3,1,32,2.82843,"),
            std::string::npos)
      << text;
  // Two lines, each ended, with as many commas outside of quotes.
  EXPECT_EQ(std::ranges::count(text, '\n'), 2);
}

TEST(ComparisonReport, RecordsSurviveTheirFile) {
  RunRecord record = run_of("x", 4, 1.5, 2);
  record.evaluations = {{0, 5}, {20, 1.5}};
  const nlohmann::ordered_json json = json_of(record);
  const RunRecord again = run_record_of(parse_json(json_text(json), "test"), "test");
  EXPECT_EQ(json_of(again), json);
  record.metrics[0].second = std::nan("");
  const RunRecord without = run_record_of(parse_json(json_text(json_of(record)), "test"), "test");
  EXPECT_TRUE(without.metrics.empty());
  test::expect_error(ErrorKind::corrupt, "where", "not the record",
                     [] { run_record_of(nlohmann::json::object(), "where"); });
}

TEST(ComparisonPage, IsOneDocumentThatLoadsNothing) {
  const std::string page = comparison_page(json_of(known_report()));
  EXPECT_TRUE(page.starts_with("<!DOCTYPE html>"));
  for (const char* place : {"@title@", "@style@", "@results@", "@chart@", "@script@"})
    EXPECT_EQ(page.find(place), std::string::npos) << place;
  for (const char* loaded : {"src=\"", "<link", "@import", "url(http"})
    EXPECT_EQ(page.find(loaded), std::string::npos) << loaded;
  EXPECT_NE(page.find("Chart.js v3"), std::string::npos);
}

TEST(ComparisonPage, AnswersCannotEndTheScript) {
  ComparisonReport report = known_report();
  report.model = "@script@";  // a place's name inside of what is put in stays as it is
  const std::string page = comparison_page(json_of(report));
  size_t scripts = 0, ends = 0;
  for (size_t at = 0; (at = page.find("<script", at)) != std::string::npos; ++at) ++scripts;
  for (size_t at = 0; (at = page.find("</script", at)) != std::string::npos; ++at) ++ends;
  EXPECT_EQ(scripts, 3U);
  EXPECT_EQ(ends, 3U);
  const std::string open = "<script type=\"application/json\" id=\"results\">";
  const size_t begin = page.find(open) + open.size();
  const nlohmann::json read = parse_json(page.substr(begin, page.find("</script>", begin) - begin), "page");
  EXPECT_EQ(read["runs"][0]["samples"][0]["answer"], "</script><script>alert(1)</script>");
  EXPECT_EQ(read["model"], "@script@");
}

TEST(ComparisonPage, JsonForScriptsHasNoLineEndsOfJavaScript) {
  const std::string text = script_json({{"a", "<!--\xE2\x80\xA8\xE2\x80\xA9"}});
  EXPECT_EQ(text, R"({"a":"\u003c!--\u2028\u2029"})");
}

TEST(ComparedRun, WhatAMethodCannotDoEndsItsRunAlone) {
  for (const ErrorKind kind : {ErrorKind::invalid, ErrorKind::unsupported}) {
    RunRecord record;
    note_failure(record, [&] { throw Error(kind, "it cannot"); });
    EXPECT_EQ(record.problem, "it cannot");
    EXPECT_STREQ(record.failure(), "failed");
  }
  for (const ErrorKind kind : {ErrorKind::interrupted, ErrorKind::io, ErrorKind::corrupt}) {
    RunRecord record;
    EXPECT_THROW(note_failure(record, [&] { throw Error(kind, "the disk is full"); }), Error);
    EXPECT_EQ(record.problem, "");
  }
}

TEST(RunStore, DifferentLabelsHaveDifferentFolders) {
  EXPECT_EQ(folder_name("lora"), "lora");
  EXPECT_NE(folder_name("LoRA r=8"), folder_name("LoRA r 8"));
  EXPECT_EQ(folder_name("a/../b").find('/'), std::string::npos);
  EXPECT_NE(folder_name(".."), "..");
}

TEST(RunStore, SaysWhatDiffersAndTakesNewMethods) {
  const test::TemporaryFolder folder;
  const RunStore store(folder.path() / "out");
  const nlohmann::ordered_json common = {{"training", {{"steps", 10}}}};
  store.open();
  store.keep_configuration({common, {{"lora", {{"rank", 4}}}}});
  store.keep_configuration({common, {{"lora", {{"rank", 4}}}, {"bitfit", {{"x", 1}}}}});
  const KeptConfiguration other{{{"training", {{"steps", 20}}}}, {{"lora", {{"rank", 8}}}}};
  test::expect_error(ErrorKind::invalid, "out", "training.steps: 10, now 20; lora.rank: 4, now 8",
                     [&] { store.keep_configuration(other); });
  store.drop_runs();
  store.keep_configuration(other);
}

/// An option that the version that made the runs did not know has its default value there.
TEST(RunStore, TakesRunsOfAVersionWithFewerOptions) {
  const test::TemporaryFolder folder;
  const RunStore store(folder.path());
  store.keep_configuration({{{"training", {{"steps", 10}}}}, {{"lora", {{"rank", 4}}}}});
  const KeptConfiguration usual{{{"training", {{"steps", 7}, {"smoothing", 0}}}, {"model", "x"}},
                                {{"lora", {{"rank", 8}, {"alpha", 1}}}}};
  const auto now = [](double smoothing, double alpha) {
    return KeptConfiguration{{{"training", {{"steps", 10}, {"smoothing", smoothing}}}, {"model", "x"}},
                             {{"lora", {{"rank", 4}, {"alpha", alpha}}}}};
  };
  test::expect_error(ErrorKind::invalid, "", "training.smoothing: 0, now 0.1; lora.alpha: 1, now 2.0",
                     [&] { store.keep_configuration(now(0.1, 2), usual); });
  store.keep_configuration(now(0, 1), usual);
}

TEST(RunStore, RefusesConfigurationsOfAnotherForm) {
  const test::TemporaryFolder folder;
  const RunStore store(folder.path());
  for (const char* text :
       {"[]", "{}", R"({"common": {}, "methods": []})", R"({"common": 1, "methods": 2})"}) {
    write_file_atomically(folder.path() / "comparison.json", text);
    test::expect_error(ErrorKind::corrupt, "comparison.json", "not the configuration", [&] {
      store.keep_configuration({{}, {{"lora", {{"rank", 4}}}}});
    });
  }
}

TEST(RunStore, RecordsAreThoseOfTheirRun) {
  const test::TemporaryFolder folder;
  const RunStore store(folder.path());
  RunRecord record = run_of("lora", 1, 2, 3);
  const auto write = [&] {
    std::filesystem::create_directories(store.run_folder("lora", 1));
    write_file_atomically(store.run_folder("lora", 1) / run_record_name, json_text(json_of(record)));
  };
  write();
  EXPECT_EQ(store.finished("lora", 1)->loss, 2);
  record.seed = 2;
  write();
  test::expect_error(ErrorKind::corrupt, "run.json", "another run", [&] { store.finished("lora", 1); });
}

TEST(RunStore, RatesThatDifferLittleHaveTheirOwnFiles) {
  const test::TemporaryFolder folder;
  const RunStore store(folder.path());
  RunRecord record = run_of("lora", 1, 2, 3);
  record.learning_rate = 1e-3;
  store.keep_tried(record, 0);
  EXPECT_TRUE(store.tried("lora", 0, 1e-3));
  EXPECT_FALSE(store.tried("lora", 0, 1.0000001e-3));
}

TEST(RunStore, LeavesOthersFoldersAlone) {
  const test::TemporaryFolder folder;
  write_file_atomically(folder.path() / "thesis.tex", "x");
  test::expect_error(ErrorKind::invalid, "thesis.tex", "no comparison",
                     [&] { RunStore(folder.path()).open(); });
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "thesis.tex"));
}

}  // namespace
}  // namespace lowrank
