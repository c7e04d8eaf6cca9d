// Runs whose steps are shared out over ranks. Each rank is a thread here, with its own model.
#include <cmath>
#include <map>

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "model/registry.h"
#include "peft/core/registry.h"
#include "support/expect_error.h"
#include "support/load_forms.h"
#include "support/rank_threads.h"
#include "support/temporary_folder.h"
#include "support/test_device.h"
#include "support/tiny_model.h"
#include "train/evaluate.h"
#include "train/example_trainer.h"
#include "train/ranks/rank_group.h"
#include "train/ranks/rank_place.h"
#include "train/ranks/step_share.h"

namespace lowrank {
namespace {

using std::chrono::milliseconds;
using test::as_ranks;
using test::brief_waits;

/// What a few steps leave.
struct Trained {
  std::vector<double> losses;
  std::vector<int64_t> target_tokens;
  at::Tensor values;
  Evaluation evaluation;
};

class Ranks : public testing::Test {
 protected:
  void SetUp() override { test::write_tiny_model(folder.path() / "base", test::tiny_llama_config()); }

  Trained train(const std::optional<RankGroup>& ranks) const {
    const auto checkpoint = Checkpoint::open(folder.path() / "base");
    const MethodInfo& info = method_named(method);
    std::unique_ptr<Method> made = info.make();
    apply(made->fields(), method_options, "test");
    Adapter adapter = make_adapter(info, std::move(made), *checkpoint);
    adapter.method->initialise(*checkpoint, 1);
    move_adapter(adapter, test::test_device());
    LoadOptions load = test::in_f32();
    load.device = test::test_device();
    load.training = true;
    load.use = uses_of(adapter.plan);
    const auto model = checkpoint->family().load(checkpoint, load);
    const std::vector<Example> rows =
        test::random_examples({7, 3, 9, 5, 4, 8, 6, 3, 5, 9, 2}, checkpoint->spec().vocabulary_size);
    TrainOptions run = options;
    run.ranks = ranks;
    ExampleTrainer trainer(*model, adapter, rows, run);
    Trained found;
    while (!trainer.done()) {
      const StepResult step = trainer.step();
      found.losses.push_back(step.loss);
      found.target_tokens.push_back(step.target_tokens);
    }
    found.values = adapter.parameters->values().to(at::kCPU, false, true);
    found.evaluation = evaluate(*model, InferenceHooks(adapter), rows, 2, ranks);
    return found;
  }

  std::vector<Trained> train_as(int64_t count) const {
    std::vector<Trained> all(static_cast<size_t>(count));
    const auto errors = as_ranks(count, [&](const RankPlace& place) {
      const RankGroup group = RankGroup::join(place);
      all[static_cast<size_t>(place.rank)] = train(group);
      group.leave();
    });
    for (const auto& [rank, error] : errors) ADD_FAILURE() << rank << ": " << error;
    return all;
  }

  /// Compares the run of several ranks with that of one, and the ranks with each other.
  void expect_as_one(int64_t count) const {
    const Trained one = train({});
    const std::vector<Trained> all = train_as(count);
    if (HasFailure()) return;
    ASSERT_EQ(all.front().losses.size(), one.losses.size());
    for (size_t i = 0; i < one.losses.size(); ++i)
      EXPECT_NEAR(all.front().losses[i], one.losses[i], 1e-6) << i;
    EXPECT_EQ(all.front().target_tokens, one.target_tokens);
    for (const Trained& rank : all) {
      EXPECT_EQ(rank.losses, all.front().losses);
      EXPECT_TRUE(at::equal(rank.values, all.front().values));
      EXPECT_EQ(rank.evaluation.rows, all.front().evaluation.rows);
      EXPECT_EQ(rank.evaluation.loss, all.front().evaluation.loss);
      EXPECT_NEAR(rank.evaluation.loss, one.evaluation.loss, 1e-5);
      EXPECT_EQ(rank.evaluation.target_tokens, one.evaluation.target_tokens);
    }
  }

  test::TemporaryFolder folder;
  std::string method = "lora";
  nlohmann::json method_options = nlohmann::json::object();
  TrainOptions options = [] {
    TrainOptions given;
    given.steps = 5;
    given.batch_size = 2;
    given.grad_accum = 4;
    given.lr = 1e-2;
    return given;
  }();
};

TEST_F(Ranks, TwoShareOutMicroBatches) {
  expect_as_one(2);
}

TEST_F(Ranks, FourShareOutMicroBatchesOfWhichAPassEndsWithFewer) {
  expect_as_one(4);
}

TEST_F(Ranks, DropoutIsTheSameWhereMicroBatchesAreWhole) {
  method_options = {{"dropout", 0.3}};
  expect_as_one(2);
}

TEST_F(Ranks, FourShareOutTheRowsOfOneMicroBatch) {
  options.batch_size = 8;
  options.grad_accum = 1;
  expect_as_one(4);
}

TEST_F(Ranks, ARankMayHaveNoRows) {
  options.batch_size = 1;
  options.grad_accum = 1;
  expect_as_one(2);
}

TEST_F(Ranks, MicroBatchesOfTokens) {
  options.batch_size = {};
  options.tokens_per_batch = 12;
  options.grad_accum = 2;
  expect_as_one(2);
}

TEST_F(Ranks, ARegularizerCountsOnce) {
  method = "adalora";
  method_options = {{"init_r", 6}, {"target_r", 2}, {"tinit", 1}, {"tfinal", 1}, {"delta_t", 1}};
  expect_as_one(2);
}

TEST_F(Ranks, GeneratedTensorsOfARankWithoutRows) {
  method = "prefix_tuning";
  method_options = {{"num_virtual_tokens", 3}};
  options.batch_size = 1;
  options.grad_accum = 1;
  expect_as_one(2);
}

TEST_F(Ranks, RepeatedRunsHaveTheSameBits) {
  const std::vector<Trained> one = train_as(4), other = train_as(4);
  if (HasFailure()) return;
  EXPECT_EQ(one.front().losses, other.front().losses);
  EXPECT_TRUE(at::equal(one.front().values, other.front().values));
}

TEST_F(Ranks, AnEvaluationHasTheBitsOfOneProcess) {
  options.lr = 1e-30;  // too small to change a value: all models are equal
  const Trained one = train({});
  const std::vector<Trained> all = train_as(2);
  if (HasFailure()) return;
  EXPECT_EQ(all.back().evaluation.rows, one.evaluation.rows);
  EXPECT_EQ(all.back().evaluation.loss, one.evaluation.loss);
}

TEST_F(Ranks, ALossThatIsNotFiniteIsAnErrorOnAll) {
  test::overwrite_values(folder.path() / "base", "model.norm.weight", NAN);
  const auto errors = as_ranks(2, [&](const RankPlace& place) { train(RankGroup::join(place)); });
  ASSERT_EQ(errors.size(), 2U);
  for (const auto& [rank, error] : errors)
    EXPECT_NE(error.find("step 1: the loss is"), std::string::npos) << error;
}

TEST(RankGroup, SumsAndTextsOfAll) {
  const auto errors = as_ranks(3, [](const RankPlace& place) {
    const RankGroup group = RankGroup::join(place, brief_waits());
    std::vector<float> values{1, static_cast<float>(place.rank)};
    group.sum(values);
    EXPECT_EQ(values, (std::vector<float>{3, 3}));
    EXPECT_EQ(group.largest(place.rank == 1 ? 7 : -7), 7);
    EXPECT_EQ(group.from_first(place.leads() ? "" : "other"), "");
    EXPECT_EQ(group.from_first(fmt::format("of {}", place.rank)), "of 0");
    group.leave();
  });
  for (const auto& [rank, error] : errors) ADD_FAILURE() << rank << ": " << error;
}

TEST(RankGroup, ARankThatGivesNoSignOfLifeIsNamedOnAllOthers) {
  const auto start = std::chrono::steady_clock::now();
  const auto errors = as_ranks(3, [](const RankPlace& place) {
    const RankGroup group = RankGroup::join(place, brief_waits());
    if (place.rank == 2) return;  // as killed: it neither says why nor takes part
    group.largest(0);
  });
  ASSERT_EQ(errors.size(), 2U);
  for (const auto& [rank, error] : errors) {
    EXPECT_NE(error.find("rank 2 (process "), std::string::npos) << error;
    EXPECT_NE(error.find("no sign of life"), std::string::npos) << error;
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

TEST(RankGroup, WhyARankFailsIsToldToAllOthers) {
  const auto errors = as_ranks(3, [](const RankPlace& place) {
    const RankGroup group = RankGroup::join(place, brief_waits());
    if (place.rank == 1) {
      group.fail("the disk is full");
      return;
    }
    group.largest(0);
  });
  ASSERT_EQ(errors.size(), 2U);
  for (const auto& [rank, error] : errors) {
    EXPECT_NE(error.find("rank 1"), std::string::npos) << error;
    EXPECT_NE(error.find("the disk is full"), std::string::npos) << error;
  }
}

TEST(RankGroup, RankZeroKeepsItsStoreUntilAllKnowWhoHasEnded) {
  int port = 0;
  {
    const RankStore free = RankStore::serve("127.0.0.1", 0);
    port = free.port();
  }
  const auto errors = as_ranks(4, [&](RankPlace place) {
    place.store_elsewhere = false;
    place.port = port;
    const RankGroup group = RankGroup::join(place, brief_waits());
    if (place.rank == 3) return;
    try {
      group.largest(0);
    } catch (const Error& error) {
      group.fail(error.what());
      throw;
    }
  });
  ASSERT_EQ(errors.size(), 3U);
  for (const auto& [rank, error] : errors)
    EXPECT_NE(error.find("rank 3 (process "), std::string::npos) << error;
}

TEST(RankGroup, RanksThatDoNotStartAreNamed) {
  const auto errors = as_ranks(2, [](RankPlace place) {
    place.size = 4;
    RankWaits waits = brief_waits();
    waits.join = milliseconds(500);
    RankGroup::join(place, waits);
  });
  ASSERT_EQ(errors.size(), 2U);
  EXPECT_NE(errors.at(0).find("the ranks 2, 3 of 4 have not started"), std::string::npos) << errors.at(0);
}

TEST(RankGroup, ARankThatIsStartedTwiceIsRefused) {
  const auto errors = as_ranks(2, [](RankPlace place) {
    place.rank = 1;
    RankWaits waits = brief_waits();
    waits.join = milliseconds(500);
    RankGroup::join(place, waits);
  });
  const bool first = errors.at(0).find("two processes were started as rank 1") != std::string::npos;
  EXPECT_TRUE(first || errors.at(1).find("two processes were started as rank 1") != std::string::npos);
}

TEST(RankGroup, OtherNumbersOfRanksAreRefused) {
  const auto errors = as_ranks(2, [](RankPlace place) {
    if (place.rank == 1) place.size = 3;
    RankWaits waits = brief_waits();
    waits.join = milliseconds(500);
    RankGroup::join(place, waits);
  });
  const std::string said = errors.at(0) + errors.at(1);
  EXPECT_NE(said.find("another one as one of "), std::string::npos) << said;
}

TEST(RankGroup, APortThatIsTakenIsNamed) {
  const RankStore other = RankStore::serve("127.0.0.1", 0);
  test::expect_error(ErrorKind::io, std::to_string(other.port()), "cannot keep the store",
                     [&] { RankGroup::join({.size = 2, .port = other.port()}, brief_waits()); });
}

EnvironmentLookup lookup(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const char* name) {
    const auto found = values.find(name);
    return found == values.end() ? nullptr : found->second.c_str();
  };
}

TEST(RankPlace, NothingAndASingleProcess) {
  EXPECT_FALSE(rank_place(lookup({})));
  EXPECT_FALSE(rank_place(lookup({{"RANK", "0"}, {"WORLD_SIZE", "1"}})));
  // The shell of a batch script is no task of a step.
  EXPECT_FALSE(rank_place(lookup({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}})));
}

TEST(RankPlace, Torchrun) {
  const auto place = rank_place(lookup({{"RANK", "3"},
                                        {"WORLD_SIZE", "4"},
                                        {"LOCAL_RANK", "1"},
                                        {"LOCAL_WORLD_SIZE", "2"},
                                        {"MASTER_ADDR", "head"},
                                        {"MASTER_PORT", "1234"},
                                        {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                                        {"TORCHELASTIC_RESTART_COUNT", "2"}}));
  ASSERT_TRUE(place);
  EXPECT_EQ(place->rank, 3);
  EXPECT_EQ(place->size, 4);
  EXPECT_EQ(place->local_rank, 1);
  EXPECT_EQ(place->local_size, 2);
  EXPECT_EQ(place->address, "head");
  EXPECT_EQ(place->port, 1234);
  EXPECT_TRUE(place->store_elsewhere);
  EXPECT_EQ(place->attempt, "2");
}

TEST(RankPlace, MpirunOnOneMachineNeedsNoAddress) {
  const auto place = rank_place(lookup({{"OMPI_COMM_WORLD_RANK", "1"},
                                        {"OMPI_COMM_WORLD_SIZE", "2"},
                                        {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                                        {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}}));
  ASSERT_TRUE(place);
  EXPECT_EQ(place->address, "127.0.0.1");
  EXPECT_FALSE(place->store_elsewhere);
}

TEST(RankPlace, SrunMeetsAtTheFirstNode) {
  const auto place = rank_place(lookup({{"SLURM_PROCID", "5"},
                                        {"SLURM_STEP_NUM_TASKS", "6"},
                                        {"SLURM_LOCALID", "1"},
                                        {"SLURM_STEP_TASKS_PER_NODE", "2(x3)"},
                                        {"SLURM_STEP_NODELIST", "gpu[07-09]"}}));
  ASSERT_TRUE(place);
  EXPECT_EQ(place->rank, 5);
  EXPECT_EQ(place->local_size, 2);
  EXPECT_EQ(place->address, "gpu07");
  EXPECT_EQ(first_host("a1,b[2,3]"), "a1");
  EXPECT_EQ(first_host("a[3,5],b"), "a3");
}

TEST(RankPlace, WhatIsMissingOrWrongIsNamed) {
  const auto refused = [](const char* sentence, std::map<std::string, std::string> values) {
    test::expect_error(ErrorKind::invalid, sentence, "environment",
                       [&] { rank_place(lookup(std::move(values))); });
  };
  refused("RANK is missing, while WORLD_SIZE is set", {{"WORLD_SIZE", "2"}});
  refused("WORLD_SIZE is missing, while RANK is set", {{"RANK", "1"}});
  refused("RANK 2 is not below WORLD_SIZE 2", {{"RANK", "2"}, {"WORLD_SIZE", "2"}});
  refused("WORLD_SIZE is 'two'", {{"RANK", "0"}, {"WORLD_SIZE", "two"}});
  refused("MASTER_PORT is '70000'", {{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_PORT", "70000"}});
  refused(
      "MASTER_ADDR is missing",
      {{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}});
}

TEST(StepShare, EachRowBelongsToOneRank) {
  for (const std::vector<int64_t>& lengths :
       {std::vector<int64_t>{4, 4, 4, 4}, {100, 1, 1, 1}, {1, 1, 100}, {7}, {0, 0}, {3, 9, 2, 8, 8, 1}}) {
    for (int64_t size = 1; size <= 5; ++size) {
      int64_t next = 0;
      for (int64_t rank = 0; rank < size; ++rank) {
        const RowRange range = rows_of_rank(lengths, rank, size);
        if (range.begin == range.end) continue;
        EXPECT_EQ(range.begin, next);
        next = range.end;
      }
      EXPECT_EQ(next, std::ssize(lengths)) << size;
    }
  }
  EXPECT_EQ(rows_of_rank(std::vector<int64_t>{4, 4, 4, 4}, 1, 2).begin, 2);
  EXPECT_EQ(batches_of_rank(5, 1, 3), (std::vector<int64_t>{1, 4}));
}

}  // namespace
}  // namespace lowrank
