// Runs whose first steps come before all rows are read.
#include <fstream>

#include <fmt/format.h>

#include "base/json.h"
#include "support/places.h"
#include "support/program.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

/// Files from 16 MB on are kept in a cache, and only while they are put there do runs begin early.
class EarlyRun : public test::ProgramTest {
 protected:
  void SetUp() override {
    const std::string padding(280, 'x');
    std::string text;
    for (int i = 0; i < row_count; ++i) {
      const bool left_out = i % 4 == 1;
      text += fmt::format("{{\"input_ids\":[{},{},4,{}],\"labels\":[-100,{},-100,{}],\"source\":\"{}\"}}\n",
                          i % 9 + 1, i % 7 + 1, i % 8 + 1, left_out ? -100 : i % 7 + 1,
                          left_out ? -100 : i % 8 + 1, padding);
    }
    rows = write("rows.jsonl", text);
    evaluated = write("evaluated.jsonl", "{\"input_ids\":[1,2,3,4]}\n");
  }

  /// A run of a name, with its cache.
  std::string train(const std::string& name, const std::string& cache, const std::string& more = "") const {
    return "train --model " + test::fixture("tiny_llama/linear").string() + " --data " + rows.string() +
           " --output " + (folder.path() / name).string() +
           " --steps 9 --batch-size 2 --dtype f32 --threads 1 --lr 0.05 --eval-data " + evaluated.string() +
           " --save-every 4 --cache " + (cache == "none" ? cache : (folder.path() / cache).string()) + " " +
           more;
  }
  std::string adapter(const std::string& name) const {
    return test::content_of(folder.path() / name / "adapter_model.safetensors");
  }
  /// metrics.jsonl without what is measured.
  std::string metrics(const std::string& name) const {
    std::ifstream file(folder.path() / name / "metrics.jsonl");
    std::string all;
    for (std::string line; std::getline(file, line);) {
      nlohmann::json entry = nlohmann::json::parse(line);
      for (const char* measured : {"seconds", "tokens_per_second", "peak_rss_bytes", "eval_runtime",
                                   "eval_samples_per_second", "eval_steps_per_second"})
        entry.erase(measured);
      all += entry.dump() + '\n';
    }
    return all;
  }

  static constexpr int row_count = 50'000;
  static constexpr const char* early = "50000 rows are read while the run begins";
  fs::path rows, evaluated;
};

TEST_F(EarlyRun, IsLikeOneThatReadsAllRowsFirst) {
  const std::string told = succeeds(train("early", "kept")).err;
  for (const char* sentence :
       {early, "training: 37500 examples, 150000 tokens; 12500 rows without a target are left out",
        "keeps the tokenised rows for later runs"})
    EXPECT_NE(told.find(sentence), std::string::npos) << sentence << '\n' << told;
  const std::string again = succeeds(train("again", "kept")).err;
  EXPECT_NE(again.find("has the tokenised rows from an earlier run"), std::string::npos) << again;
  EXPECT_EQ(again.find(early), std::string::npos) << again;
  EXPECT_EQ(succeeds(train("in_memory", "none")).err.find(early), std::string::npos);
  for (const char* other : {"again", "in_memory"}) {
    EXPECT_EQ(adapter(other), adapter("early")) << other;
    EXPECT_EQ(metrics(other), metrics("early")) << other;
  }
  EXPECT_NE(
      test::content_of(folder.path() / "early/run.html").find("rows left out, since they have no target"),
      std::string::npos);
  EXPECT_EQ(succeeds(train("epochs", "other", "--dry-run")).err.find(early), std::string::npos);
}

TEST_F(EarlyRun, ResumesToTheSameBits) {
  succeeds(train("whole", "kept"));
  for (const char* cache : {"kept", "none", "new"}) {
    succeeds(train("stopped", std::string("of_") + cache, "--overwrite"));
    // As left by a kill after the fourth step.
    fs::remove_all(folder.path() / "stopped/checkpoint-8");
    fs::remove(folder.path() / "stopped/adapter_model.safetensors");
    const std::string told = succeeds(train("stopped", cache, "--resume")).err;
    EXPECT_NE(told.find("checkpoint-4: the run goes on after step 4"), std::string::npos) << told;
    EXPECT_EQ(told.find(early), std::string::npos) << told;
    EXPECT_EQ(adapter("stopped"), adapter("whole")) << cache;
    EXPECT_EQ(metrics("stopped"), metrics("whole")) << cache;
  }
}

TEST_F(EarlyRun, EndsWithWhatIsWrongInTheLastRow) {
  std::ofstream(rows, std::ios::app) << "{\"input_ids\":[1,2,3000000]}\n";
  const test::Outcome outcome = run(train("early", "kept"));
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_NE(outcome.err.find("rows.jsonl:50001: token 3000000 or its label"), std::string::npos)
      << outcome.err;
  EXPECT_FALSE(fs::exists(folder.path() / "early/adapter_model.safetensors"));
  EXPECT_NE(outcome.err.find("rows are read while the run begins"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace lowrank
