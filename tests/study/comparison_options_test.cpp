// The configuration of a comparison: what it takes, and that all mistakes are named at once.
#include "study/compare/comparison_options.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "study/compare/run_store.h"

namespace lowrank {
namespace {

nlohmann::json sound_comparison() {
  return nlohmann::json::parse(R"({"model": ".", "benchmark": "jsonl", "source": "rows", "output": "out",
      "training": {"steps": 10, "batch_size": 2}, "seeds": [1, 2], "search": {"rungs": 1, "keep": 0.25},
      "methods": [{"method": "lora", "rank": 4, "learning_rates": [0.001, 0.01], "warmup": 3},
                  {"method": "bitfit", "label": "biases", "lr": 0.02}]})");
}

std::vector<std::string> mistakes_in(const nlohmann::json& given) {
  std::vector<std::string> problems;
  read_comparison(given, "file", problems);
  return problems;
}

bool names(const std::vector<std::string>& problems, const std::string& text) {
  return std::ranges::any_of(
      problems, [&](const std::string& problem) { return problem.find(text) != std::string::npos; });
}

TEST(ComparisonOptions, TakesAllOfIt) {
  std::vector<std::string> problems;
  const ComparisonOptions options = read_comparison(sound_comparison(), "file", problems);
  EXPECT_TRUE(problems.empty()) << problems.front();
  ASSERT_EQ(options.methods.size(), 2U);
  EXPECT_EQ(options.methods[0].label, "lora");
  EXPECT_EQ(options.methods[0].rates(), (std::vector<double>{0.001, 0.01}));
  EXPECT_EQ(options.methods[1].label, "biases");
  EXPECT_EQ(options.methods[1].rates(), (std::vector<double>{0.02}));
  EXPECT_EQ(options.seeds, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(options.search.rungs, 1);
  EXPECT_EQ(options.search.keep, 0.25);
  const TrainOptions first = options.training_of(options.methods[0], 7, 0.01);
  EXPECT_EQ(first.steps, 10);
  EXPECT_EQ(first.warmup, 3);
  EXPECT_EQ(first.seed, 7);
  EXPECT_EQ(first.lr, 0.01);
  EXPECT_EQ(options.training_of(options.methods[1], 1, 0.02).warmup, 0);
  const nlohmann::json chosen = resolved(options.methods[0].choose().method->fields());
  EXPECT_EQ(chosen["rank"], 4);
}

TEST(ComparisonOptions, TakesPairsForMappings) {
  // What the YAML reader makes of numbers under keys that are not sorted.
  nlohmann::json given = sound_comparison();
  given["training"] = nlohmann::json::parse(R"([["steps", 12], ["batch_size", 2]])");
  std::vector<std::string> problems;
  EXPECT_EQ(read_comparison(given, "file", problems).training.steps, 12);
  EXPECT_TRUE(problems.empty());
}

TEST(ComparisonOptions, NamesAllMistakesAtOnce) {
  nlohmann::json given = sound_comparison();
  given["benchmrk"] = "x";
  given["training"]["step"] = 3;
  given["training"]["minutes"] = 1;
  given["search"]["judge"] = "los";
  given["methods"][0]["rnak"] = 4;
  given["methods"].push_back({{"method", "lorra"}});
  given["methods"].push_back({{"method", "bitfit"}, {"label", "biases"}, {"lr", 1}, {"learning_rates", {1}}});
  given["methods"].push_back("lora");
  given["seeds"] = {1, 1};
  given.erase("output");
  const std::vector<std::string> problems = mistakes_in(given);
  for (const char* expected :
       {"unknown key \"benchmrk\" (did you mean benchmark?)", "unknown key \"step\" (did you mean steps?)",
        "minutes and steps", "judge", "entry 1 (lora): unknown key \"rnak\" (did you mean rank?)", "lorra",
        "entry 4: give lr or learning_rates, not both", "the label \"biases\" is given twice",
        "entry 5: expected a mapping", "seeds: expected different numbers", "output: missing"})
    EXPECT_TRUE(names(problems, expected)) << expected << "\n" << nlohmann::json(problems).dump(1);
}

TEST(ComparisonOptions, RefusesValuesOutOfRange) {
  nlohmann::json given = sound_comparison();
  given["search"]["keep"] = 1.5;
  given["methods"][0]["learning_rates"] = {0.0};
  given["methods"][1]["lr"] = "fast";
  const std::vector<std::string> problems = mistakes_in(given);
  EXPECT_TRUE(names(problems, "keep"));
  EXPECT_TRUE(names(problems, "learning_rates"));
  EXPECT_TRUE(names(problems, "entry 2")) << nlohmann::json(problems).dump(1);
}

TEST(ComparisonOptions, RefusesLabelsThatNameNoFolderOfTheirOwn) {
  nlohmann::json given = sound_comparison();
  given["methods"][0]["label"] = "LoRA 4";
  given["methods"][1]["label"] = folder_name("LoRA 4");
  EXPECT_TRUE(names(mistakes_in(given), "are those of one folder"));
  given["methods"][1]["label"] = "two\nlines";
  EXPECT_TRUE(names(mistakes_in(given), "no short line of text"));
  given["methods"][1]["label"] = std::string(1000, 'x');
  EXPECT_TRUE(names(mistakes_in(given), "no short line of text"));
  given["methods"][1]["label"] = "base";
  EXPECT_TRUE(names(mistakes_in(given), "or is the base's"));
  given["methods"][1]["label"] = "名前 / ..";
  EXPECT_TRUE(mistakes_in(given).empty()) << mistakes_in(given).front();
}

TEST(ComparisonOptions, AMethodMayHaveSeedsOfItsOwn) {
  std::vector<std::string> problems;
  nlohmann::json given = sound_comparison();
  given["methods"][1]["seeds"] = {4, 5, 6};
  const ComparisonOptions options = read_comparison(given, "file", problems);
  EXPECT_TRUE(problems.empty()) << problems.front();
  EXPECT_EQ(options.methods[0].seeds, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(options.methods[1].seeds, (std::vector<int64_t>{4, 5, 6}));
  given["methods"][1]["seeds"] = {4, 4};
  EXPECT_TRUE(names(mistakes_in(given), "methods, entry 2: seeds: expected different numbers"));
}

TEST(ComparisonOptions, WhatRunsDependOnLeavesOutWhereTheyGo) {
  std::vector<std::string> problems;
  ComparisonOptions options = read_comparison(sound_comparison(), "file", problems);
  const nlohmann::ordered_json before = options.common();
  options.output = "elsewhere";
  options.seeds = {3};
  EXPECT_TRUE(differences(before, options.common()).empty());
  options.training.steps = 11;
  options.max_rows = 5;
  const std::vector<std::string> found = differences(before, options.common());
  EXPECT_EQ(found.size(), 2U);
  EXPECT_TRUE(names(found, "training.steps: 10, now 11"));
  EXPECT_TRUE(names(found, "max_rows: 0, now 5"));
}

}  // namespace
}  // namespace lowrank
