// train --shard-base: the numbers of runs that read the whole base, and what happens when a process ends.
#include <csignal>

#include <fmt/format.h>

#include "support/processes.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

class ProcessesThatShareTheBase : public test::ProcessesTest {
 protected:
  void SetUp() override {
    test::ProcessesTest::SetUp();
    fs::remove_all(model());
    nlohmann::json config = test::tiny_llama_config();
    config["num_hidden_layers"] = 5;
    test::write_tiny_model(model(), config);
  }

  /// Compares a run that shares the base with one that does not.
  void expect_same_bits(const std::string& name, const std::string& more) const {
    const fs::path mapped = folder.path() / (name + "_mapped"), shared = folder.path() / (name + "_shared");
    succeeds(train(mapped, more + " --base-memory small"));
    const test::Outcome outcome = succeeds(train(shared, more + " --shard-base"));
    EXPECT_NE(outcome.err.find("of the layers' weights"), std::string::npos) << outcome.err;
    EXPECT_EQ(losses(shared), losses(mapped));
    EXPECT_EQ(losses(shared, "eval_loss"), losses(mapped, "eval_loss"));
    EXPECT_EQ(test::content_of(shared / "adapter_model.safetensors"),
              test::content_of(mapped / "adapter_model.safetensors"));
    EXPECT_FALSE(losses(shared).empty());
  }
};

TEST_F(ProcessesThatShareTheBase, TakeTheSameSteps) {
  const std::string steps = " --steps 4 --eval-every 2 --eval-data " + rows.string();
  expect_same_bits("two", "--processes 2" + steps);
  expect_same_bits("four", "--processes 4" + steps);
  expect_same_bits("recomputed", "--processes 2 --gradient-checkpointing" + steps);
  dtype = "bf16";
  expect_same_bits("bf16", "--processes 3" + steps);
}

TEST_F(ProcessesThatShareTheBase, TrainMethodsThatReadTheBase) {
  for (const char* method : {"dora", "pissa", "ia3", "said", "beft"})
    expect_same_bits(method, fmt::format("--processes 2 --steps 3 --method {}", method));
}

TEST_F(ProcessesThatShareTheBase, GoOnFromACheckpointOfProcessesThatDoNot) {
  succeeds(train(out(), "--steps 4 --save-every 2 --processes 2 --base-memory small"));
  const std::string whole = test::content_of(out() / "adapter_model.safetensors");
  fs::remove_all(out() / "checkpoint-4");
  succeeds(train(out(), "--steps 4 --save-every 2 --processes 2 --shard-base --resume"));
  EXPECT_EQ(test::content_of(out() / "adapter_model.safetensors"), whole);
}

TEST_F(ProcessesThatShareTheBase, AKilledOneIsNamed) {
  const pid_t launcher = start_long_run("--processes 3 --shard-base");
  const pid_t victim = rank_of(launcher, "1");
  ASSERT_GT(victim, 0);
  const auto killed = Clock::now();
  kill(victim, SIGKILL);
  EXPECT_EQ(code_of(launcher), 1);
  EXPECT_LT(test::seconds_since(killed), 30);
  const std::string said = test::content_of(err());
  EXPECT_NE(said.find(fmt::format("error: rank 1 (process {} on ", victim)), std::string::npos) << said;
  EXPECT_NE(said.find("was ended by signal 9"), std::string::npos) << said;
}

TEST_F(ProcessesThatShareTheBase, OneThatHangsIsNamed) {
  const pid_t launcher = start_long_run("--processes 2 --shard-base");
  const pid_t victim = rank_of(launcher, "1");
  ASSERT_GT(victim, 0);
  kill(victim, SIGSTOP);
  const std::string expected = fmt::format("error: rank 1 (process {} on ", victim);
  EXPECT_TRUE(within(30, [&] { return test::content_of(err()).find(expected) != std::string::npos; }))
      << test::content_of(err());
  kill(victim, SIGKILL);
  EXPECT_EQ(code_of(launcher), 1);
}

TEST_F(ProcessesThatShareTheBase, AnInterruptSavesTheState) {
  const pid_t launcher = start_long_run("--processes 2 --shard-base");
  kill(launcher, SIGINT);
  EXPECT_EQ(code_of(launcher), 128 + SIGINT) << test::content_of(err());
}

TEST_F(ProcessesThatShareTheBase, WhatDoesNotFitIsRefused) {
  refused(train(out(), "--shard-base"), "over several processes, and this is one");
  refused(train(out(), "--shard-base --processes 2 --base-memory one"), "keeps no copies of the base");
  refused(train(out(), "--shard-base --processes 2 --base-format nf4"), "leave --base-format nf4 away");
  refused(train(out(), "--shard-base --processes 2 --device cuda"), "in memory of the CPU");
}

}  // namespace
}  // namespace lowrank
