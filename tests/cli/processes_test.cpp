// Runs of several processes: the same numbers as one, and what happens when one of them ends.
#include "support/processes.h"

#include <csignal>
#include <unistd.h>

#include <fmt/format.h>

#include "train/ranks/rank_store.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;
using test::seconds_since;
using Clock = test::ProcessesTest::Clock;

class Processes : public test::ProcessesTest {};

TEST_F(Processes, TakeTheStepsOfOne) {
  const std::string evaluated = "--steps 6 --eval-every 3 --eval-data " + rows.string();
  const fs::path one = folder.path() / "one", two = folder.path() / "two", again = folder.path() / "again",
                 four = folder.path() / "four";
  succeeds(train(one, evaluated));
  succeeds(train(two, evaluated + " --processes 2"));
  succeeds(train(again, evaluated + " --processes 2"));
  succeeds(train(four, evaluated + " --processes 4"));
  for (const fs::path& several : {two, four}) {
    expect_near(losses(several), losses(one));
    expect_near(losses(several, "eval_loss"), losses(one, "eval_loss"));
  }
  EXPECT_EQ(losses(one).size(), 6U);
  EXPECT_EQ(test::content_of(two / "adapter_model.safetensors"),
            test::content_of(again / "adapter_model.safetensors"));
}

TEST_F(Processes, OneGpuIsNotForSeveral) {
  refused(train(out(), "--steps 1 --processes 2 --device cuda:0"),
          "device cuda:0: 2 processes of this machine would share that GPU");
}

TEST_F(Processes, AMissingGpuIsSaidOnce) {
  environment = "LOWRANK_CUDA=/nowhere CUDA_VISIBLE_DEVICES=";
  const test::Outcome missing = run(train(out(), "--steps 1 --processes 2 --device cuda"));
  EXPECT_EQ(missing.code, 1);
  const size_t first = missing.err.find("error: ");
  ASSERT_NE(first, std::string::npos) << missing.err;
  EXPECT_EQ(missing.err.find("error: ", first + 1), std::string::npos) << missing.err;
  EXPECT_FALSE(fs::exists(out()));
}

TEST_F(Processes, OthersGoOnWithACheckpointAndAreToldThatBitsDiffer) {
  const fs::path whole = folder.path() / "whole";
  succeeds(train(whole, "--steps 6"));
  succeeds(train(out(), "--steps 6 --save-every 2 --processes 2"));
  fs::remove_all(out() / "checkpoint-4");
  const test::Outcome resumed = succeeds(train(out(), "--steps 6 --save-every 2 --processes 4 --resume"));
  EXPECT_NE(resumed.err.find("was written by 2 processes and goes on with 4 processes"), std::string::npos)
      << resumed.err;
  EXPECT_NE(resumed.err.find("checkpoint-2: the run goes on after step 2"), std::string::npos) << resumed.err;
  expect_near(losses(out()), losses(whole));
  const test::Outcome alone = succeeds(train(out(), "--steps 6 --save-every 2 --resume"));
  EXPECT_NE(alone.err.find("goes on with one process"), std::string::npos) << alone.err;
  expect_near(losses(out()), losses(whole));
}

TEST_F(Processes, AKilledOneIsNamedAndTheCheckpointStays) {
  const pid_t launcher = start_long_run();
  const pid_t victim = rank_of(launcher, "1");
  ASSERT_GT(victim, 0);
  const auto killed = Clock::now();
  kill(victim, SIGKILL);
  EXPECT_NE(code_of(launcher), 0);
  EXPECT_LT(seconds_since(killed), 30);
  const std::string said = test::content_of(err());
  EXPECT_NE(said.find(fmt::format("error: rank 1 (process {} on ", victim)), std::string::npos) << said;
  EXPECT_NE(said.find("was ended by signal 9"), std::string::npos) << said;
  const test::Outcome resumed =
      run(train(out(), "--steps 1 --save-every 50 --keep 2 --resume --resume-anyway"));
  EXPECT_NE(resumed.err.find("the run goes on after step"), std::string::npos) << resumed.err;
}

TEST_F(Processes, OneThatHangsIsNamed) {
  const pid_t launcher = start_long_run();
  const pid_t victim = rank_of(launcher, "1");
  ASSERT_GT(victim, 0);
  const auto stopped = Clock::now();
  kill(victim, SIGSTOP);
  const std::string expected = fmt::format("error: rank 1 (process {} on ", victim);
  EXPECT_TRUE(within(30, [&] { return test::content_of(err()).find(expected) != std::string::npos; }))
      << seconds_since(stopped) << test::content_of(err());
  EXPECT_NE(test::content_of(err()).find("has given no sign of life"), std::string::npos);
  kill(victim, SIGKILL);
  EXPECT_NE(code_of(launcher), 0);
}

TEST_F(Processes, AnInterruptSavesTheState) {
  const pid_t launcher = start_long_run();
  kill(launcher, SIGINT);
  EXPECT_EQ(code_of(launcher), 128 + SIGINT) << test::content_of(err());
  const std::string said = test::content_of(err());
  EXPECT_NE(said.find("interrupted after step"), std::string::npos) << said;
}

TEST_F(Processes, NoneIsLeftWhenTheLauncherIsKilled) {
  const pid_t launcher = start_long_run();
  const pid_t first = rank_of(launcher, "0"), second = rank_of(launcher, "1");
  ASSERT_GT(first * second, 0);
  kill(launcher, SIGKILL);
  code_of(launcher);
  EXPECT_TRUE(within(30, [&] { return kill(first, 0) != 0 && kill(second, 0) != 0; }));
}

TEST_F(Processes, EnvironmentsThatAreNoneAreRefused) {
  environment = "WORLD_SIZE=2";
  refused(train(out(), ""), "RANK is missing, while WORLD_SIZE is set");
  environment = "RANK=0 WORLD_SIZE=2";
  refused(train(out(), "--processes 3"), "--processes is 3, but this is one of 2 processes");
  const RankStore other = RankStore::serve("127.0.0.1", 0);
  environment = fmt::format("RANK=0 WORLD_SIZE=2 MASTER_PORT={}", other.port());
  refused(train(out(), ""), fmt::format("cannot keep the store of the ranks at 127.0.0.1:{}", other.port()));
}

TEST_F(Processes, TrainEmbeddingsAsOne) {
  const fs::path pairs =
      write("pairs.jsonl",
            "{\"anchor\":\"what is a mill\",\"positive\":\"A mill grinds corn.\"}\n"
            "{\"anchor\":\"where is the river\",\"positive\":\"The river runs past the mill.\"}\n"
            "{\"anchor\":\"who left in 1999\",\"positive\":\"Nobody could remember who left.\"}\n");
  const auto train_pairs = [&](const fs::path& output, const std::string& more) {
    succeeds("train --model " + test::fixture("embeddings/bert").string() + " --data " + pairs.string() +
             " --eval-data " + pairs.string() +
             " --eval-every 3 --steps 6 --batch-size 3 --lr 0.01 --dtype f32" + " --output " +
             output.string() + more);
  };
  const fs::path one = folder.path() / "one", two = folder.path() / "two", again = folder.path() / "again";
  train_pairs(one, "");
  train_pairs(two, " --processes 2");
  train_pairs(again, " --processes 2");
  expect_near(losses(two), losses(one));
  expect_near(losses(two, "eval_loss"), losses(one, "eval_loss"));
  EXPECT_EQ(losses(two).size(), 6U);
  EXPECT_EQ(test::content_of(two / "adapter_model.safetensors"),
            test::content_of(again / "adapter_model.safetensors"));
}

/// Two ranks that are started with different options end at once, with this sentence on both.
class DifferingRanks : public test::ProcessesTest {
 protected:
  void end(const std::string& options_of_0, const std::string& options_of_1, const std::string& expected) {
    int port = 0;
    {
      const RankStore free = RankStore::serve("127.0.0.1", 0);
      port = free.port();
    }
    const std::string at = fmt::format("WORLD_SIZE=2 MASTER_PORT={} ", port);
    const pid_t first = fork();
    if (first == 0) {
      const std::string command = "exec env RANK=0 " + at + LOWRANK_PROGRAM + " " +
                                  train(out(), "--steps 2 " + options_of_0) + " 2>" +
                                  (folder.path() / "first").string() + " </dev/null";
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    environment = "RANK=1 " + at;
    const test::Outcome second = run(train(out(), "--steps 2 " + options_of_1));
    EXPECT_EQ(second.code, 1);
    EXPECT_NE(second.err.find(expected), std::string::npos) << second.err;
    EXPECT_EQ(code_of(first), 1);
    const std::string said = test::content_of(folder.path() / "first");
    EXPECT_NE(said.find(expected), std::string::npos) << said;
  }
};

TEST_F(DifferingRanks, AreRefused) {
  end("", "--weight-decay 0.5", "rank 1 is not of the same run as rank 0: weight_decay is 0.5, not 0.01");
}

TEST_F(DifferingRanks, EvaluationRowsAreForAllOrNone) {
  end("", "--eval-every 1 --eval-data " + rows.string(),
      "some ranks were started with --eval-data, others without");
}

TEST_F(DifferingRanks, ASharedBaseIsForAllOrNone) {
  end("--shard-base", "", "some ranks were started with --shard-base, others without");
}

}  // namespace
}  // namespace lowrank
