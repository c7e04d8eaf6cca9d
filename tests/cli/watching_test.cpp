// What a run shows of itself, on standard error and in its files.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "support/places.h"
#include "support/program.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

class Watching : public test::ProgramTest {
 protected:
  void SetUp() override {
    const fs::path model = folder.path() / "model";
    fs::copy(test::fixture("tiny_llama/linear"), model, fs::copy_options::recursive);
    fs::copy_file(test::fixture("letters/tokenizer.json"), model / "tokenizer.json",
                  fs::copy_options::overwrite_existing);
    std::string rows;
    for (const char* word : {"one", "two", "three", "four", "five", "six"})
      rows += fmt::format("{{\"prompt\":\"<b>{0}\",\"completion\":\" {0}{0}\"}}\n", word);
    write("rows.jsonl", rows);
  }
  std::string train(const fs::path& output, const std::string& more) const {
    return fmt::format(
        "train --model {0}/model --data {0}/rows.jsonl --output {1} --steps 5 --batch-size 2 --dtype f32 "
        "--threads 2 {2}",
        folder.path().string(), output.string(), more);
  }
  static std::vector<nlohmann::json> lines(const fs::path& path) {
    std::ifstream file(path);
    std::vector<nlohmann::json> found;
    for (std::string line; std::getline(file, line);) found.push_back(nlohmann::json::parse(line));
    return found;
  }
  static std::vector<int64_t> steps(const std::vector<nlohmann::json>& rows) {
    std::vector<int64_t> found;
    for (const nlohmann::json& row : rows) found.push_back(row["step"].get<int64_t>());
    return found;
  }
};

TEST_F(Watching, SamplesAreKeptAndChangeNoNumber) {
  const fs::path plain = folder.path() / "plain";
  succeeds(train(plain, "--save-every 3"));
  const test::Outcome outcome = succeeds(train(out(), "--save-every 3 --sample-every 2"));
  EXPECT_NE(outcome.err.find("step 4: "), std::string::npos) << outcome.err;
  const std::vector<nlohmann::json> samples = lines(out() / "samples.jsonl");
  EXPECT_EQ(steps(samples), (std::vector<int64_t>{0, 0, 0, 2, 2, 2, 4, 4, 4, 5, 5, 5}));
  EXPECT_EQ(samples[0]["prompt"], "<b>one");
  EXPECT_EQ(samples[0]["reference"], " oneone");
  EXPECT_EQ(test::content_of(out() / "adapter_model.safetensors"),
            test::content_of(plain / "adapter_model.safetensors"));
  const std::string page = test::content_of(out() / "run.html");
  EXPECT_NE(page.find("&lt;b&gt;one"), std::string::npos);
  EXPECT_EQ(page.find("<b>"), std::string::npos);
  // A resumed run continues the file, and neither option is part of what must stay the same.
  succeeds(train(out(), "--save-every 3 --sample-every 2 --resume"));
  EXPECT_EQ(lines(out() / "samples.jsonl"), samples);
}

TEST_F(Watching, SamplesOfOtherPrompts) {
  write("prompts.jsonl", "{\"prompt\":\"seven\"}\n");
  succeeds(train(out(), "--sample-every 5 --sample-data " + (folder.path() / "prompts.jsonl").string()));
  const std::vector<nlohmann::json> samples = lines(out() / "samples.jsonl");
  ASSERT_EQ(steps(samples), (std::vector<int64_t>{0, 5}));
  EXPECT_EQ(samples[1]["prompt"], "seven");
  EXPECT_FALSE(samples[1].contains("reference"));
}

TEST_F(Watching, LinesComeEverySoManySteps) {
  const std::string told = succeeds(train(out(), "--log-every 2")).err;
  for (const char* line : {"\nstep 2/5  loss ", "\nstep 4/5  loss ", "\nstep 5/5  loss "})
    EXPECT_NE(told.find(line), std::string::npos) << line << told;
  EXPECT_EQ(told.find("\nstep 3/5"), std::string::npos) << told;
  EXPECT_EQ(told.find('\033'), std::string::npos);
  const auto state = nlohmann::json::parse(test::content_of(out() / "trainer_state.json"));
  EXPECT_EQ(state["log_history"].size(), 2U + 1U);
  EXPECT_GT(state["total_flos"].get<double>(), 0);
}

TEST_F(Watching, RowsThatAreCutOrLeftOutAreNamedOnThePage) {
  succeeds(train(out(), "--max-length 9"));
  const std::string page = test::content_of(out() / "run.html");
  EXPECT_NE(page.find("training rows that were cut"), std::string::npos);
  EXPECT_NE(page.find("rows.jsonl:3"), std::string::npos);
}

TEST_F(Watching, ThePageOfARunThatIsStoppedSaysSo) {
  // The program runs in the background until it has taken a step.
  environment = fmt::format(
      "sh -c '\"$@\" & until [ -s {}/metrics.jsonl ] || ! kill -0 $! 2>/dev/null; do sleep 0.05; done; "
      "kill -TERM $!; wait $!' -",
      out().string());
  const test::Outcome stopped = run(train(out(), "--save-every 0 --lr 1e-9")
                                        .replace(train(out(), "").find("--steps 5"), 9, "--steps 900000"));
  EXPECT_EQ(stopped.code, 143) << stopped.err;
  const std::string page = test::content_of(out() / "run.html");
  EXPECT_NE(page.find("interrupted after step "), std::string::npos);
  EXPECT_NE(page.find(" of 900000"), std::string::npos);
  EXPECT_EQ(page.find("http-equiv=\"refresh\""), std::string::npos);
}

TEST_F(Watching, EarlyStoppingNeedsRowsAndTellsTheStep) {
  refused(train(out(), "--early-stop 2"), "--early-stop 2 needs rows to evaluate on");
  const std::string told =
      succeeds(train(out(), "--early-stop 1 --eval-split 0.4 --eval-every 1 --lr 1e-12")).err;
  EXPECT_NE(told.find("stopped after step 2"), std::string::npos) << told;
  EXPECT_NE(told.find("warning: --lr 1e-12"), std::string::npos) << told;
}

}  // namespace
}  // namespace lowrank
