// What training reports about its rows, and where they may be located.
#include <sstream>

#include "base/json.h"
#include "support/places.h"
#include "support/program.h"

namespace lowrank {
namespace {

class TrainingRows : public test::ProgramTest {
 protected:
  std::string train(const std::string& data, const std::string& output, const std::string& more = "") const {
    return "train --model " + test::fixture("tiny_llama/linear").string() + " --data '" + data +
           "' --output " + output + " --steps 1 --dtype f32 " + more;
  }
};

constexpr const char* long_rows =
    "{\"input_ids\":[1,2,3,4,5]}\n{\"input_ids\":[9,8,7]}\n{\"input_ids\":[4,4,4,4]}\n";

TEST_F(TrainingRows, SayHowManyTokensALimitLoses) {
  const std::string data = write("rows.jsonl", long_rows).string();
  EXPECT_NE(succeeds(train(data, out().string(), "--max-length 3"))
                .err.find("2 examples are longer than 3 tokens (--max-length) and are cut: 3 of their 9 "
                          "tokens are not used"),
            std::string::npos);
}

TEST_F(TrainingRows, ThatACutLeavesNothingOfAreCountedOnce) {
  const std::string data = write("rows.jsonl",
                                 "{\"input_ids\":[1,2,3,4],\"labels\":[-100,-100,3,4]}\n"
                                 "{\"input_ids\":[1,2,3],\"labels\":[-100,2,3]}\n"
                                 "{\"input_ids\":[8],\"labels\":[8]}\n")
                               .string();
  const std::string told = succeeds(train(data, out().string(), "--max-length 2")).err;
  for (const char* sentence :
       {"training: 1 example, 2 tokens; 1 row without a target is left out",
        "1 row is longer than 2 tokens (--max-length), has no target within that length, and is left out",
        "1 example is longer than 2 tokens (--max-length) and is cut: 1 of its 3 tokens are not used"})
    EXPECT_NE(told.find(sentence), std::string::npos) << sentence << '\n' << told;
}

TEST_F(TrainingRows, AreShownByTheirLineOrTheirNumberInAnArray) {
  const std::string rows = R"([{"input_ids":[1,2,3]},
{"input_ids":[4,5]}])";
  const std::string array = write("rows.json", rows).string();
  const std::string told = succeeds(train(array, out().string(), "--show-rows 2")).err;
  EXPECT_NE(told.find("row 2: 2 tokens, 1 target"), std::string::npos) << told;
  const std::string lines = write("rows.jsonl", long_rows).string();
  const std::string shown = succeeds(train(lines, out().string() + "2", "--show-rows 2")).err;
  EXPECT_NE(shown.find("line 2: 3 tokens, 2 targets"), std::string::npos) << shown;
}

TEST_F(TrainingRows, DoNotLieBesideWhatTheRunWrites) {
  const std::string data = write("rows.jsonl", long_rows).string();
  const std::string place = folder.path().string();
  refused(train(place, place), "give it a folder of its own");
  refused(train(place + "/*.jsonl", place), "give it a folder of its own");
  succeeds(train(place, out().string()));
  succeeds(train(place, out().string() + "2"));
}

TEST_F(TrainingRows, WithoutPromptsAreNotSaidToHaveAny) {
  const std::string data = write("rows.jsonl", long_rows).string();
  const std::string told = succeeds(train(data, out().string(), "--batch-size 3")).err;
  EXPECT_EQ(told.find("prompts"), std::string::npos) << told;
  EXPECT_NE(told.find("micro-batches of up to 9 tokens"), std::string::npos) << told;
}

TEST_F(TrainingRows, AreKeptForEvaluationsInAGivenFolder) {
  const std::string padding(6 << 20, 'x');
  std::string rows;
  for (const char* ids : {"1,2,3", "4,5", "6,7,8,9"})
    rows += std::string("{\"input_ids\":[") + ids + "],\"source\":\"" + padding + "\"}\n";
  const std::string command = "evaluate --model " + test::fixture("tiny_llama/linear").string() +
                              " --dtype f32 --json --data " + write("rows.jsonl", rows).string();
  const std::filesystem::path kept = folder.path() / "kept";
  const std::string usual = succeeds(command).out;
  for (const char* told :
       {"keeps the tokenised rows for later runs", "has the tokenised rows from an earlier"}) {
    const test::Outcome outcome = succeeds(command + " --cache " + kept.string());
    EXPECT_EQ(outcome.out, usual);
    EXPECT_NE(outcome.err.find(told), std::string::npos) << outcome.err;
  }
  refused(command + " --cache " + (folder.path() / "rows.jsonl").string(), "is no folder");
  ASSERT_TRUE(std::filesystem::exists(kept));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(kept), {}), 1);
  EXPECT_EQ(succeeds(command + " --cache none").out, usual);
}

class SeveralFiles : public TrainingRows {
 protected:
  std::string train(const std::string& data, const std::filesystem::path& output,
                    const std::string& more = "") const {
    return "train --model " + test::fixture("tiny_llama/linear").string() + " " + data + " --output " +
           output.string() + " --steps 6 --save-every 1 --dtype f32 --threads 2 --lr 0.05 " + more;
  }
  std::string results(const std::filesystem::path& output) const {
    return test::content_of(output / "adapter_model.safetensors");
  }

  std::string a = write("a.jsonl", long_rows).string();
  std::string b = write("b.jsonl", "{\"input_ids\":[7,8]}\n{\"input_ids\":[6,5,4]}\n").string();
  std::string weighted = "--data " + a + ":2.0 --data " + b + ":0.5";
};

TEST_F(SeveralFiles, ComeAsOftenAsTheirWeightsSay) {
  const test::Outcome outcome = succeeds(train(weighted, out(), "--batch-size 2"));
  EXPECT_NE(outcome.err.find("training: 5 examples, 17 tokens"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("an epoch takes 7 examples: 6 of " + a + ", 1 of " + b), std::string::npos)
      << outcome.err;
  const std::string card = test::content_of(out() / "README.md");
  EXPECT_NE(card.find("a.jsonl (weight 2), b.jsonl (weight 0.5)"), std::string::npos) << card;
  const auto config = write("c.yaml", "data: [\"" + a + ":2.0\", " + b + ":0.5]\nbatch_size: 2\n");
  succeeds(train("--config " + config.string(), folder.path() / "yaml"));
  EXPECT_EQ(results(folder.path() / "yaml"), results(out()));
  succeeds(train("--data " + a + " --data " + b, folder.path() / "plain", "--batch-size 2"));
  EXPECT_NE(results(folder.path() / "plain"), results(out()));
}

TEST_F(SeveralFiles, OfWeightOneAreOneDataSet) {
  succeeds(train("--data " + a + " --data " + b + ":1", folder.path() / "several"));
  succeeds(train("--data '" + folder.path().string() + "/*.jsonl'", folder.path() / "pattern"));
  EXPECT_EQ(results(folder.path() / "several"), results(folder.path() / "pattern"));
}

TEST_F(SeveralFiles, ResumeToTheSameBits) {
  for (const std::string size :
       {"--batch-size 2", "--tokens-per-batch 7", "--tokens-per-batch 7 --grad-accum 2"}) {
    const std::filesystem::path whole = folder.path() / "whole", resumed = folder.path() / "resumed";
    succeeds(train(weighted, whole, size));
    succeeds(train(weighted, resumed, size + " --resume " + (whole / "checkpoint-3").string()));
    EXPECT_EQ(results(whole), results(resumed)) << size;
    std::filesystem::remove_all(resumed);
    refused(
        train("--data " + a + " --data " + b, out(), size + " --resume " + (whole / "checkpoint-3").string()),
        "the weights of --data, in order, were 2 (3 examples), 0.5 (2 examples) and are 1 for all");
    std::filesystem::remove_all(whole);
  }
}

TEST_F(SeveralFiles, AreRefusedWithWeightsThatMeanNothing) {
  refused(train("--data " + a + ":0", out()),
          "the weight after the colon must be above 0 and at most 1000, not 0");
  refused(train("--data " + a + ":nan", out()), "must be above 0");
  refused(train("--data " + a + " --data " + b + ":0.1", out()), "the weight 0.1 leaves none of 2 examples");
  refused(train("--data " + a + ":x", out()), "a.jsonl:x");
  const std::string odd = write("odd.jsonl:2", long_rows).string();
  EXPECT_EQ(succeeds(train("--data " + odd, out())).err.find("an epoch takes"), std::string::npos);
}

TEST_F(SeveralFiles, TokensPerBatchCountEpochsAndExcludeABatchSize) {
  refused(train("--data " + a, out(), "--tokens-per-batch 9 --batch-size 2"),
          "--batch-size 2 and --tokens-per-batch 9 both set the size of a micro-batch");
  // 5, 3 and 4 tokens: in any order two or three batches of at most 8.
  const std::string command = "train --model " + test::fixture("tiny_llama/linear").string() + " --data " +
                              a + " --tokens-per-batch 8 --epochs 4 --dtype f32 --output " + out().string();
  const test::Outcome planned = succeeds(command + " --dry-run");
  const nlohmann::json plan = nlohmann::json::parse(planned.out);
  EXPECT_TRUE(plan["configuration"]["batch_size"].is_null());
  EXPECT_EQ(plan["configuration"]["tokens_per_batch"], 8);
  succeeds(command);
  std::vector<nlohmann::json> steps;
  std::istringstream lines(test::content_of(out() / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) steps.push_back(nlohmann::json::parse(line));
  EXPECT_EQ(plan["run"]["steps"], steps.size());
  EXPECT_EQ(steps.back()["epoch"], 4);
  int64_t tokens = 0;
  for (const nlohmann::json& step : steps) {
    EXPECT_LE(step["tokens"], 8);
    tokens += step["tokens"].get<int64_t>();
  }
  EXPECT_EQ(tokens, 4 * 12);
}

}  // namespace
}  // namespace lowrank
