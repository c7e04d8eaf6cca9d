// lowrank compare on tiny models: from a configuration to tables and a page, resumed, and the paper's counts.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "support/places.h"
#include "support/program.h"
#include "support/tiny_encoder.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

class CompareProgram : public test::ProgramTest {
 protected:
  void SetUp() override {
    nlohmann::json config = test::tiny_llama_config();
    config["vocab_size"] = 1000;
    test::write_tiny_model(model(), config);
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
      std::filesystem::copy_file(test::fixture("text/bert_small") / name, model() / name);
    std::filesystem::create_directories(rows());
    std::string lines;
    for (const char* noun : {"film", "one", "story", "play", "cast", "plot", "book", "song"})
      lines +=
          fmt::format("{{\"prompt\": \"the {0} was\", \"completion\": \" good </script> {0}\"}}\n", noun);
    for (const char* name : {"train.jsonl", "validation.jsonl", "test.jsonl"}) write_row(name, lines);
  }
  void write_row(const std::string& name, const std::string& lines) const {
    write_file_atomically(rows() / name, lines);
  }
  std::filesystem::path model() const { return folder.path() / "model"; }
  std::filesystem::path rows() const { return folder.path() / "rows"; }

  /// A configuration with this for `methods`, and more lines.
  std::string configuration(const std::string& methods, const std::string& more = "") const {
    return write("comparison.yaml",
                 fmt::format("model: {}\nsource: {}\noutput: {}\nbenchmark: jsonl\n"
                             "benchmark_options: {{metrics: [rouge_l, chrf]}}\ndtype: f32\n"
                             "training: {{steps: 4, batch_size: 2}}\n"
                             "generation: {{max_new_tokens: 4, temperature: 0}}\n"
                             "latency_tokens: 2\nmax_rows: 3\nmethods:\n{}{}",
                             model().string(), rows().string(), out().string(), methods, more))
        .string();
  }
  std::string two_methods(const std::string& more = "") const {
    return configuration(
        "  - {method: lora, rank: 2, lr: 1e-3}\n"
        "  - {method: prompt_tuning, num_virtual_tokens: 3, lr: 1e-2}\n",
        more);
  }
  nlohmann::json results() const { return read_json_file(out() / "results.json", 1 << 24); }
};

TEST_F(CompareProgram, EndsWithTablesAndAPage) {
  write_row("general.jsonl", "{\"text\": \"a good film\"}\n{\"text\": \"the play was one\"}\n");
  succeeds("compare " +
           two_methods("general_text: " + (rows() / "general.jsonl").string() + "\nseeds: [1, 2]\n"));
  const nlohmann::json found = results();
  EXPECT_EQ(found["finished"], true);
  ASSERT_EQ(found["methods"].size(), 3U) << found["methods"];
  EXPECT_EQ(found["runs"].size(), 5U);
  EXPECT_EQ(found["methods"][0]["label"], "base");
  const nlohmann::json& lora = found["methods"][1];
  const nlohmann::json& prompt = found["methods"][2];
  EXPECT_EQ(lora["label"], "lora");
  EXPECT_EQ(lora["runs"], 2);
  EXPECT_TRUE(lora["metrics"]["rouge_l"]["mean"].is_number());
  EXPECT_TRUE(lora["metrics"]["chrf"]["deviation"].is_number());
  EXPECT_EQ(prompt["context_rows"], 3);
  EXPECT_EQ(prompt["trained_parameters"], 3 * 32);
  for (const char* key : {"validation_loss", "seconds", "tokens_per_second", "peak_memory_bytes",
                          "adapter_bytes", "seconds_per_token", "forgetting"})
    EXPECT_TRUE(lora[key]["mean"].is_number()) << key;
  // A prompt cannot be merged into the weights.
  EXPECT_TRUE(lora["seconds_per_token_merged"].is_object());
  EXPECT_TRUE(prompt["seconds_per_token_merged"].is_null());
  EXPECT_EQ(found["runs"][1]["samples"].size(), 3U);
  EXPECT_EQ(found["runs"][1]["curve"].size(), 4U);
  for (const char* name : {"results.md", "results.csv", "index.html", "runs/lora/seed-2/run.json",
                           "runs/lora/seed-1/adapter/adapter_config.json"})
    EXPECT_TRUE(std::filesystem::exists(out() / name)) << name;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(out()))
    EXPECT_EQ(entry.path().string().find("partial"), std::string::npos) << entry.path();
  succeeds("evaluate --model " + model().string() + " --adapter " +
           (out() / "runs/lora/seed-1/adapter").string() + " --data " + (rows() / "test.jsonl").string());
}

TEST_F(CompareProgram, GoesOnWhereItStopped) {
  const std::string file = two_methods("base: false\n");
  succeeds("compare " + file);
  const nlohmann::json before = results();
  std::filesystem::remove_all(out() / "runs/lora");
  const test::Outcome again = succeeds("compare " + file);
  EXPECT_NE(again.err.find("1 run finished earlier"), std::string::npos) << again.err;
  const nlohmann::json after = results();
  ASSERT_EQ(after["runs"].size(), 2U);
  // The run that was made again computes the same, and the other one is the same to the last digit.
  EXPECT_EQ(after["methods"][0]["validation_loss"], before["methods"][0]["validation_loss"]);
  EXPECT_EQ(after["methods"][1], before["methods"][1]);
}

TEST_F(CompareProgram, SaysWhatDiffersFromEarlierRuns) {
  succeeds("compare " + two_methods("base: false\n"));
  const std::string other =
      configuration("  - {method: lora, rank: 3, lr: 1e-3}\n", "base: false\nvalidation_rows: 5\n");
  const test::Outcome outcome = run("compare " + other);
  EXPECT_EQ(outcome.code, 1);
  for (const char* expected : {"validation_rows: 0, now 5", "lora.options.rank: 2, now 3"})
    EXPECT_NE(outcome.err.find(expected), std::string::npos) << outcome.err;
  succeeds("compare --overwrite " + other);
  EXPECT_EQ(results()["methods"].size(), 1U);
}

TEST_F(CompareProgram, SearchesForRates) {
  const std::string file = configuration("  - {method: lora, rank: 2, learning_rates: [1e-9, 1e-2, 1e-8]}\n",
                                         "base: false\nsearch: {rungs: 2, keep: 0.5, judge: metric}\n");
  succeeds("compare " + file);
  const nlohmann::json found = results();
  // Three rates, then two.
  EXPECT_EQ(found["searches"].size(), 5U);
  EXPECT_EQ(found["searches"][0]["steps"], 1);
  EXPECT_EQ(found["searches"][4]["steps"], 2);
  EXPECT_EQ(found["runs"][0]["steps"], 4);
  const std::string by_loss =
      configuration("  - {method: lora, rank: 2, learning_rates: [1e-9, 1e-2, 1e-8]}\n", "base: false\n");
  succeeds("compare --overwrite " + by_loss);
  EXPECT_EQ(results()["runs"][0]["learning_rate"], 1e-2);
}

TEST_F(CompareProgram, RatesMayBeAdded) {
  const auto with = [this](const std::string& rates) {
    return configuration(
        "  - {method: lora, rank: 2, learning_rates: " + rates + "}\n  - {method: ia3, lr: 1e-3}\n",
        "base: false\nseeds: [1, 2]\nsearch: {rungs: 1}\n");
  };
  const test::Outcome first = succeeds("compare " + with("[1e-9, 1e-8]"));
  EXPECT_NE(first.err.find("the highest: a better one may lie beyond"), std::string::npos) << first.err;
  EXPECT_NE(test::content_of(out() / "results.md").find("lora (the highest)"), std::string::npos);
  const test::Outcome more = succeeds("compare " + with("[1e-9, 1e-8, 1e-7, 1e-2]"));
  EXPECT_NE(more.err.find("2 runs of another learning rate"), std::string::npos) << more.err;
  const nlohmann::json found = results();
  EXPECT_EQ(found["searches"].size(), 4U);
  ASSERT_EQ(found["runs"].size(), 4U);
  for (const nlohmann::json& made : found["runs"])
    EXPECT_EQ(made["learning_rate"], made["label"] == "lora" ? 1e-2 : 1e-3);
  const test::Outcome fewer = run("compare " + with("[1e-9, 1e-2]"));
  EXPECT_EQ(fewer.code, 1);
  EXPECT_NE(fewer.err.find("lora.learning_rates"), std::string::npos) << fewer.err;
}

/// Runs that share their passes give the same numbers, and the table has the time of those alone.
TEST_F(CompareProgram, TrainsRunsOfAMethodTogether) {
  const std::string methods = "  - {method: lora, rank: 2, learning_rates: [1e-3, 1e-2, 3e-3]}\n";
  const std::string more = "base: false\nseeds: [1, 2, 3]\nsearch: {rungs: 1}\n";
  const test::Outcome outcome = succeeds("compare " + configuration(methods, more));
  EXPECT_NE(outcome.err.find("search round 1, 3 learning rates: lr 0.001: "), std::string::npos)
      << outcome.err;
  EXPECT_NE(outcome.err.find("lora, seeds 2, 3, lr "), std::string::npos) << outcome.err;
  const nlohmann::json joint = results();
  succeeds("compare --overwrite " + configuration(methods, more + "together: false\n"));
  const nlohmann::json alone = results();
  for (const char* kind : {"searches", "runs"}) {
    ASSERT_EQ(joint[kind].size(), 3U) << kind;
    for (size_t i = 0; i < 3; ++i) {
      for (const char* key : {"learning_rate", "seed", "steps", "tokens"})
        EXPECT_EQ(joint[kind][i][key], alone[kind][i][key]) << kind << i << key;
      EXPECT_NEAR(joint[kind][i]["validation_loss"].get<double>(),
                  alone[kind][i]["validation_loss"].get<double>(), 1e-3);
      EXPECT_EQ(alone[kind][i]["together"], 1);
    }
  }
  EXPECT_EQ(joint["searches"][0]["together"], 3);
  EXPECT_EQ(joint["runs"][0]["together"], 1);
  EXPECT_EQ(joint["runs"][2]["together"], 2);
  EXPECT_EQ(joint["methods"][0]["seconds"]["runs"], 1);
  EXPECT_EQ(alone["methods"][0]["seconds"]["runs"], 3);
  EXPECT_EQ(joint["methods"][0]["validation_loss"]["runs"], 3);
  // What is missing is made again, also in part.
  std::filesystem::remove_all(out() / "runs/lora/seed-3");
  std::filesystem::remove(out() / "search/lora/round-1-lr-0.01.json");
  succeeds("compare " + configuration(methods, more));
  EXPECT_EQ(results()["methods"][0]["validation_loss"]["runs"], 3);
}

TEST_F(CompareProgram, AMistakeCostsNoEarlierRuns) {
  const std::string file = two_methods("base: false\n");
  succeeds("compare " + file);
  const std::filesystem::path moved = folder.path() / "moved";
  std::filesystem::rename(rows(), moved);
  EXPECT_EQ(run("compare --overwrite " + file).code, 1);
  EXPECT_TRUE(std::filesystem::exists(out() / "runs/lora/seed-1/run.json"));
  std::filesystem::rename(moved, rows());
  const test::Outcome again = succeeds("compare " + file);
  EXPECT_NE(again.err.find("2 runs finished earlier"), std::string::npos) << again.err;
  // Another model at the same path has other runs.
  nlohmann::json config = test::tiny_llama_config();
  config["vocab_size"] = 1000;
  test::write_tiny_model(model(), config, 2);
  const test::Outcome other = run("compare " + file);
  EXPECT_EQ(other.code, 1);
  EXPECT_NE(other.err.find("model contents"), std::string::npos) << other.err;
}

TEST_F(CompareProgram, ContradictionsOfAMethodAreNamedFirst) {
  const test::Outcome outcome = run(
      "compare " + configuration("  - {method: lora}\n  - {method: lora, label: x, tokens_per_batch: 99}\n"));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("methods, x: "), std::string::npos) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(out()));
}

TEST_F(CompareProgram, ARunThatDivergesIsARow) {
  const std::string file = configuration(
      "  - {method: full, label: wild, lr: 1000, weight_decay: 1, steps: 40}\n  - {method: lora, lr: 1e-3}\n",
      "base: false\nlatency_tokens: 0\n");
  // The key stands twice: the second one is refused.
  EXPECT_EQ(run("compare " + file).code, 1);
  succeeds("compare " +
           configuration("  - {method: full, label: wild, lr: 1000, weight_decay: 1, steps: 40}\n"
                         "  - {method: lora, lr: 1e-3}\n",
                         "base: false\n"));
  const nlohmann::json found = results();
  EXPECT_EQ(found["methods"][0]["diverged"], 1);
  EXPECT_TRUE(found["methods"][0]["validation_loss"].is_null());
  EXPECT_NE(found["runs"][0]["problem"], "");
  EXPECT_EQ(found["runs"][1]["problem"], "");
}

TEST_F(CompareProgram, ComparesEncodersOnLabels) {
  const std::filesystem::path encoder = folder.path() / "encoder";
  test::write_tiny_encoder(encoder);
  std::string lines;
  for (const char* noun : {"film", "one", "story", "play", "cast", "plot"})
    lines += fmt::format(
        "{{\"text\": \"good {0}\", \"label\": \"up\"}}\n{{\"text\": \"bad {0}\", \"label\": \"down\"}}\n",
        noun);
  for (const char* name : {"train.jsonl", "validation.jsonl", "test.jsonl"}) write_row(name, lines);
  const std::string file =
      write(
          "labels.yaml",
          fmt::format("model: {}\nsource: {}\noutput: {}\nbenchmark: jsonl\n"
                      "benchmark_options: {{metrics: [accuracy]}}\ndtype: f32\ntraining: {{steps: 60, "
                      "batch_size: 8}}\nmethods: [{{method: lora, lr: 1e-2}}, {{method: bitfit, lr: 1e-2}}, "
                      "{{method: said, intrinsic_dimension: 60}}]\n",
                      encoder.string(), rows().string(), out().string()))
          .string();
  succeeds("compare " + file);
  const nlohmann::json found = results();
  ASSERT_EQ(found["methods"].size(), 3U);
  EXPECT_GT(found["methods"][0]["metrics"]["accuracy"]["mean"], 0.9);
  EXPECT_GT(found["methods"][0]["head_parameters"], 0);
  // Of the head's tensors, those that the subspace generates are no parameters.
  EXPECT_EQ(found["methods"][2]["trained_parameters"], 60);
}

TEST_F(CompareProgram, NamesAllMistakesBeforeTheFirstRun) {
  const std::string file = configuration("  - {method: lora, rnak: 2}\n  - {method: bitfit}\n", "seed: 3\n");
  const test::Outcome outcome = run("compare " + file);
  EXPECT_EQ(outcome.code, 1);
  for (const char* expected : {"rnak", "did you mean rank?", "seed", "did you mean seeds?",
                               // Llama has no biases.
                               "methods, bitfit"})
    EXPECT_NE(outcome.err.find(expected), std::string::npos) << expected << '\n' << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(out()));
}

/// Trained parameters by label, as the plan of an example's configuration has them.
class PaperComparison : public test::ProgramTest {
 protected:
  nlohmann::json planned(const std::string& example, const std::string& shape) const {
    const std::filesystem::path examples = std::filesystem::path(LOWRANK_SOURCE) / "examples/compare";
    const test::Outcome outcome = succeeds("compare --dry-run --json " + (examples / example).string() +
                                           " --model " + (examples / "shapes" / shape).string());
    nlohmann::json counts;
    const nlohmann::json plan = nlohmann::json::parse(outcome.out);
    for (const nlohmann::json& method : plan["methods"])
      counts[method["label"].get<std::string>()] = method["trained_parameters"];
    return counts;
  }
  /// In millions, rounded as the paper prints them.
  static void expect_millions(const nlohmann::json& counts, const std::string& label, double millions,
                              double unit) {
    ASSERT_TRUE(counts.contains(label)) << label << counts;
    EXPECT_NEAR(counts[label].get<double>() / 1e6, millions, unit) << label;
  }
};

TEST_F(PaperComparison, Gpt2MediumOnE2e) {
  const nlohmann::json counts = planned("e2e_gpt2_medium.yaml", "gpt2_medium");
  expect_millions(counts, "FT", 354.92, 0.2);
  expect_millions(counts, "Adapter L 0.37M", 0.37, 0.01);
  expect_millions(counts, "Adapter L 11.09M", 11.09, 0.01);
  expect_millions(counts, "Adapter H 11.09M", 11.09, 0.03);
  expect_millions(counts, "FT top 2", 25.19, 0.01);
  expect_millions(counts, "PreLayer", 0.35, 0.01);
  EXPECT_EQ(counts["LoRA"], 393216);
}

TEST_F(PaperComparison, Gpt2LargeOnE2e) {
  const nlohmann::json counts = planned("e2e_gpt2_large.yaml", "gpt2_large");
  expect_millions(counts, "FT", 774.03, 0.2);
  expect_millions(counts, "Adapter L 0.88M", 0.88, 0.01);
  expect_millions(counts, "Adapter L 23.00M", 23.00, 0.01);
  expect_millions(counts, "PreLayer", 0.77, 0.02);
  EXPECT_EQ(counts["LoRA"], 737280);
}

TEST_F(PaperComparison, MatricesAndRanksOfSmolLM2) {
  const nlohmann::json matrices = planned("which_matrices_smollm2.yaml", "smollm2_135m");
  EXPECT_EQ(matrices.size(), 7U);
  for (const auto& [label, count] : matrices.items()) EXPECT_EQ(count, 345600) << label;
  const nlohmann::json ranks = planned("ranks_smollm2.yaml", "smollm2_135m");
  EXPECT_EQ(ranks.size(), 15U);
  // Each of 30 layers has queries and outputs of 576 to 576, keys and values of 576 to 192.
  EXPECT_EQ(ranks["Wq_r1"], 30 * (576 + 576));
  EXPECT_EQ(ranks["Wq+Wv_r8"], 8 * 30 * (576 + 576 + 576 + 192));
  EXPECT_EQ(ranks["Wq+Wk+Wv+Wo_r64"], 64 * 30 * 2 * (576 + 576 + 576 + 192));
}

TEST_F(PaperComparison, RobertaOnGlue) {
  const nlohmann::json base = planned("sst2_roberta_base.yaml", "roberta_base");
  expect_millions(base, "FT", 125, 1);
  expect_millions(base, "BitFit", 0.1, 0.02);
  EXPECT_EQ(base["LoRA"], 294912);
  const nlohmann::json large = planned("sst2_roberta_large.yaml", "roberta_large");
  expect_millions(large, "FT", 355, 1);
  EXPECT_EQ(large["LoRA"], 786432);
}

}  // namespace
}  // namespace lowrank
