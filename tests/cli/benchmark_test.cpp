// lowrank benchmark and lowrank score --benchmark, through the program.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "support/program.h"

namespace lowrank {
namespace {

class BenchmarkCommand : public test::ProgramTest {
 protected:
  BenchmarkCommand() {
    write("train.jsonl",
          "{\"question\":\"A?\",\"answer\":\"#### 1\"}\n{\"question\":\"B?\",\"answer\":\"#### 2\"}\n");
    write(
        "test.jsonl",
        "{\"question\":\"C?\",\"answer\":\"x\\n#### 1,000\"}\n{\"question\":\"D?\",\"answer\":\"#### 4\"}\n");
  }

  std::string places() const { return " --source " + folder.path().string() + " --output " + out().string(); }
};

TEST_F(BenchmarkCommand, ListsWhatThereIs) {
  const std::string list = succeeds("benchmark").out;
  for (const char* words : {"e2e", "trainset.csv", "webnlg", "dart", "glue", "gsm8k", "jsonl", "chat"})
    EXPECT_NE(list.find(words), std::string::npos) << list;
  EXPECT_EQ(succeeds("benchmark --help").out, list);
  EXPECT_NE(succeeds("benchmark glue --help").out.find("--task"), std::string::npos);
}

TEST_F(BenchmarkCommand, WritesRowsThatAreScoredWithTheirExtraction) {
  const nlohmann::json described = nlohmann::json::parse(succeeds("benchmark gsm8k --json" + places()).out);
  EXPECT_EQ(described["asked"][0]["rows"], 2);
  EXPECT_EQ(described["generation"]["max_new_tokens"], 400);
  EXPECT_TRUE(std::filesystem::exists(out() / "benchmark.json"));
  const std::string answers =
      write("answers.jsonl",
            "{\"references\":[\"x\\n#### 1,000\"],\"generated\":\"in all\\n#### 1000\"}\n"
            "{\"references\":[\"#### 4\"],\"generated\":\"4\"}\n")
          .string();
  for (const std::string& benchmark : {out().string(), std::string("gsm8k")}) {
    const nlohmann::json scored = nlohmann::json::parse(
        succeeds(fmt::format("score --json --predictions {} --benchmark {}", answers, benchmark)).out);
    EXPECT_EQ(scored["scores"]["exact_match"], 0.5) << benchmark;
  }
  const nlohmann::json whole =
      nlohmann::json::parse(succeeds("score --json --metric exact_match --predictions " + answers).out);
  EXPECT_EQ(whole["scores"]["exact_match"], 0.0);
}

TEST_F(BenchmarkCommand, BadInputIsOneSentence) {
  refused("benchmark gsm9k" + places(), "did you mean gsm8k?");
  refused("benchmark gsm8k --source " + folder.path().string(), "missing --output");
  refused("benchmark e2e" + places(), "no train (train.txt or trainset.csv), no test");
  refused("benchmark gsm8k --trian x" + places(), "did you mean --train?");
  refused("benchmark glue" + places(), "needs --task, one of cola, sst2");
  refused("score --predictions " + write("a.jsonl", "{}\n").string() + " --benchmark chat",
          "scored by the loss");
  refused("score --predictions " + write("b.jsonl", "{}\n").string() + " --benchmark gsm8", "did you mean");
  std::filesystem::create_directories(out());
  write("out/kept", "x");
  const test::Outcome full = run("benchmark gsm8k" + places());
  EXPECT_NE(full.code, 0);
  EXPECT_FALSE(std::filesystem::exists(out() / "train.jsonl"));
}

}  // namespace
}  // namespace lowrank
