// The records of a run as the Trainer logs them.
#include "report/trainer_log.h"

#include <gtest/gtest.h>

namespace lowrank {
namespace {

using Record = nlohmann::ordered_json;

std::vector<Record> four_steps() {
  std::vector<Record> records;
  for (int step = 1; step <= 4; ++step) {
    records.push_back({{"step", step},
                       {"epoch", 0.5 * step},
                       {"loss", 10.0 - step},
                       {"grad_norm", 0.1 * step},
                       {"learning_rate", 1e-4 * step},
                       {"tokens", 100},
                       {"seconds", 2.0},
                       {"rewards/margins", 1.0 * step}});
    if (step == 2)
      records.push_back({{"step", 2}, {"epoch", 1.0}, {"eval_loss", 5.5}, {"eval_runtime", 0.5}});
  }
  return records;
}

TEST(TrainerLog, LogsMeansOfTheLossAndTheLastOfTheRest) {
  TrainerLog log(3);
  std::vector<nlohmann::json> entries;
  for (const Record& record : four_steps()) {
    if (auto entry = log.take(record)) entries.push_back(*entry);
  }
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0]["eval_loss"], 5.5);
  EXPECT_EQ(entries[1], (nlohmann::json{{"step", 3},
                                        {"epoch", 1.5},
                                        {"loss", 8.0},
                                        {"grad_norm", 0.1 * 3},
                                        {"learning_rate", 1e-4 * 3},
                                        {"rewards/margins", 2.0}}));
}

TEST(TrainerLog, NamesCurvesAsTransformersDoes) {
  const auto scalars = event_scalars({{"step", 3}, {"loss", 2.0}, {"eval_loss", 1.0}, {"epoch", 0.5}});
  std::vector<std::string> tags;
  for (const EventScalar& scalar : scalars) tags.push_back(scalar.tag);
  EXPECT_EQ(tags, (std::vector<std::string>{"train/epoch", "eval/loss", "train/loss"}));
}

TEST(TrainerLog, StateHasTheTrainersKeys) {
  TrainerFacts facts;
  facts.total_steps = 4;
  facts.epochs = 1.5;
  facts.parameters = 1000;
  facts.batch_size = 8;
  facts.examples_per_step = 16;
  facts.best_loss = 5.5;
  facts.best_step = 2;
  facts.best_place = "out";
  const nlohmann::json state = trainer_state(four_steps(), facts, true);
  EXPECT_EQ(state["global_step"], 4);
  EXPECT_EQ(state["num_train_epochs"], 2);
  EXPECT_EQ(state["num_input_tokens_seen"], 400);
  EXPECT_EQ(state["total_flos"], 6.0 * 400 * 1000);
  EXPECT_EQ(state["log_history"].back()["total_flos"], 6.0 * 400 * 1000);
  EXPECT_EQ(state["best_metric"], 5.5);
  EXPECT_EQ(state["best_global_step"], 2);
  EXPECT_EQ(state["best_model_checkpoint"], "out");
  ASSERT_EQ(state["log_history"].size(), 6U);
  const nlohmann::json& last = state["log_history"].back();
  EXPECT_EQ(last["train_loss"], 7.5);
  EXPECT_EQ(last["train_runtime"], 8.0);
  EXPECT_EQ(last["train_samples_per_second"], 8.0);
  EXPECT_EQ(trainer_state(four_steps(), {}, false)["log_history"].size(), 5U);
  EXPECT_TRUE(trainer_state({}, {}, false)["best_metric"].is_null());
}

}  // namespace
}  // namespace lowrank
