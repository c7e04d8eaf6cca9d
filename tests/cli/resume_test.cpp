// Runs that resume from a checkpoint: what is found, reported, refused and kept.
#include <sys/wait.h>

#include "base/json.h"
#include "support/places.h"
#include "support/program.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

class Resume : public test::ProgramTest {
 protected:
  void SetUp() override {
    rows = write("rows.jsonl",
                 "{\"input_ids\":[1,2,3,4,5]}\n{\"input_ids\":[9,8,7]}\n{\"input_ids\":[4,4,4,4]}\n");
    fs::copy(test::fixture("tiny_llama/linear"), model(), fs::copy_options::recursive);
  }

  fs::path model() const { return folder.path() / "model"; }
  std::string train(const fs::path& output, const std::string& more = "", const char* rate = "0.05") const {
    return "train --model " + model().string() + " --data " + rows.string() + " --output " + output.string() +
           " --steps 5 --batch-size 2 --dtype f32 --threads 2 --save-every 1 --lr " + rate + " " + more;
  }
  std::string fails(const std::string& arguments, const std::string& expected) const {
    const test::Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 1) << arguments;
    EXPECT_NE(outcome.err.find(expected), std::string::npos) << arguments << '\n' << outcome.err;
    return outcome.err;
  }
  static std::string inside(const fs::path& path) { return test::content_of(path); }
  static size_t lines(const fs::path& path) {
    const std::string text = inside(path);
    return static_cast<size_t>(std::ranges::count(text, '\n'));
  }

  fs::path rows;
};

TEST_F(Resume, GoesOnFromTheNewestCompleteCheckpoint) {
  const fs::path whole = folder.path() / "whole";
  succeeds(train(whole));
  succeeds(train(out()));
  // As left by a kill while writing the fourth step's checkpoint.
  fs::rename(out() / "checkpoint-4", out() / "checkpoint-4.17-0123abcd.partial");
  fs::remove(out() / "adapter_model.safetensors");
  const test::Outcome outcome = succeeds(train(out(), "--resume"));
  EXPECT_NE(outcome.err.find("checkpoint-3: the run goes on after step 3"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("was finished after step 5; its steps from 4 are done again"), std::string::npos)
      << outcome.err;
  EXPECT_EQ(inside(out() / "adapter_model.safetensors"), inside(whole / "adapter_model.safetensors"));
  EXPECT_EQ(lines(out() / "metrics.jsonl"), 5U);
  EXPECT_TRUE(fs::exists(out() / "checkpoint-4"));
  EXPECT_FALSE(fs::exists(out() / "checkpoint-4.17-0123abcd.partial"));
}

TEST_F(Resume, ACheckpointThatCannotBeReadIsToldAndAnOlderOneTaken) {
  succeeds(train(out()));
  const fs::path state = out() / "checkpoint-4" / "trainer_state.safetensors";
  fs::resize_file(state, fs::file_size(state) / 2);
  EXPECT_NE(fails(train(out(), "--resume"), "newer than the one to go on from").find("not resumed from"),
            std::string::npos);
  const test::Outcome outcome = succeeds(train(out(), "--resume --overwrite"));
  EXPECT_NE(outcome.err.find("checkpoint-3: the run goes on"), std::string::npos) << outcome.err;
}

TEST_F(Resume, ANamedCheckpointMayLieElsewhere) {
  const fs::path whole = folder.path() / "whole";
  succeeds(train(whole));
  succeeds(train(out(), "--resume " + (whole / "checkpoint-2").string()));
  EXPECT_EQ(inside(out() / "adapter_model.safetensors"), inside(whole / "adapter_model.safetensors"));
  EXPECT_EQ(lines(out() / "metrics.jsonl"), 5U);
  fails(train(whole, "--resume " + (whole / "checkpoint-2").string()), "newer than the one to go on from");
  EXPECT_TRUE(fs::exists(whole / "checkpoint-4"));
  succeeds(train(whole, "--overwrite --resume " + (whole / "checkpoint-2").string()));
  EXPECT_EQ(inside(out() / "adapter_model.safetensors"), inside(whole / "adapter_model.safetensors"));
  EXPECT_EQ(lines(whole / "metrics.jsonl"), 5U);
}

TEST_F(Resume, WhatARunLeftSoFarSaysHowToGoOn) {
  succeeds(train(out()));
  EXPECT_NE(
      fails(train(out()), "holds results of an earlier run").find("give --resume to go on from checkpoint-4"),
      std::string::npos);
  // As left by Ctrl-C before the first adapter.
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) fs::remove(out() / name);
  const std::string told = run("evaluate --model " + model().string() + " --data " + rows.string() +
                               " --adapter " + out().string())
                               .err;
  EXPECT_NE(told.find("its run has left no adapter there yet"), std::string::npos) << told;
  EXPECT_NE(told.find((out() / "checkpoint-4").string()), std::string::npos) << told;
}

TEST_F(Resume, WithoutACheckpointNothingIsTrained) {
  refused(train(out(), "--resume"), "holds no complete checkpoint");
  refused(train(out(), "--resume " + model().string()), "takes a checkpoint's folder");
  // Where results lie, a run from the start has to replace them.
  succeeds("train --steps 1 --model " + model().string() + " --data " + rows.string() + " --output " +
           out().string());
  fails(train(out(), "--resume"), "give --overwrite in place of --resume");
}

TEST_F(Resume, AnotherRunIsRefusedAndToldWhereItGoesOnAnyway) {
  succeeds(train(out()));
  const std::string before = inside(out() / "metrics.jsonl");
  const auto other = [&](const std::string& option, const std::string& expected) {
    fails(train(out(), "--resume " + option), expected);
  };
  other("--seed 7", "seed was 0 and is 7");
  other("--rank 4", "rank was 8 and is 4");
  EXPECT_EQ(fails(train(out(), "--resume --rank 4"), "with other settings").find("adapter at the start"),
            std::string::npos);
  other("--schedule constant", "schedule was \"linear\" and is \"constant\"");
  other("--group-prompts", "group_prompts was false and is true");
  other("--method dora", "method was \"lora\" and is \"dora\"");
  fails("train --model " + model().string() + " --data " + rows.string() + " --output " + out().string() +
            " --steps 6 --batch-size 2 --dtype f32 --threads 1 --lr 0.05 --resume",
        "steps in all was 5 and is 6; threads was 2 and is 1");
  const std::string text = inside(rows);
  write("rows.jsonl", "{\"input_ids\":[1,2,3,4,6]}\n{\"input_ids\":[9,8,7]}\n{\"input_ids\":[4,4,4,4]}\n");
  other("", "the training rows are other than before");
  write("rows.jsonl", text);
  const fs::path weights = model() / "model.safetensors";
  const std::string bytes = inside(weights);
  std::string changed = bytes;
  changed[changed.size() - 2] ^= 1;
  write_file_atomically(weights, changed);
  other("", "the base model is other than before");
  write_file_atomically(weights, bytes);
  EXPECT_EQ(inside(out() / "metrics.jsonl"), before);
  const test::Outcome outcome = succeeds(train(out(), "--resume --weight-decay 0.5 --resume-anyway"));
  EXPECT_NE(outcome.err.find("warning: "), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("weight_decay was 0.01 and is 0.5"), std::string::npos) << outcome.err;
}

TEST_F(Resume, OnlyTheNewestCheckpointsAreKept) {
  succeeds(train(out(), "--keep 2"));
  EXPECT_FALSE(fs::exists(out() / "checkpoint-1"));
  EXPECT_FALSE(fs::exists(out() / "checkpoint-2"));
  EXPECT_TRUE(fs::exists(out() / "checkpoint-3" / "trainer_state.safetensors"));
  EXPECT_TRUE(fs::exists(out() / "checkpoint-4" / "trainer_state.safetensors"));
}

TEST_F(Resume, TheBestAdapterSoFarComesBack) {
  const std::string more = "--eval-data " + rows.string() + " --eval-every 1 --schedule constant ";
  const auto best_of = [&](const fs::path& run) {
    double best = std::numeric_limits<double>::infinity();
    std::ifstream file(run / "metrics.jsonl");
    for (std::string line; std::getline(file, line);) {
      const nlohmann::json entry = nlohmann::json::parse(line);
      if (entry.contains("eval_loss")) best = std::min(best, entry["eval_loss"].get<double>());
    }
    return best;
  };
  succeeds(train(out(), more, "3"));
  const std::string adapter = inside(out() / "adapter_model.safetensors");
  const double best = best_of(out());
  write_file_atomically(out() / "adapter_model.safetensors", "lost");
  succeeds(train(out(), more + "--resume", "3"));
  EXPECT_EQ(inside(out() / "adapter_model.safetensors"), adapter);
  EXPECT_EQ(best_of(out()), best);
}

}  // namespace
}  // namespace lowrank
