// Embeddings are trained by several ranks as by one: each takes whole batches of a step, or, where a step has
// fewer, a part of each batch's texts. Each rank is a thread here, with its own model.
#include <cmath>

#include <ATen/ops/equal.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "peft/files/adapter_file.h"
#include "support/compared_trial.h"
#include "support/rank_threads.h"
#include "train/evaluate.h"
#include "train/example_trainer.h"

namespace lowrank {
namespace {

using test::as_ranks;
using test::Trial;

/// What a few steps leave.
struct Trained {
  std::vector<double> losses;
  std::vector<int64_t> tokens, texts;
  at::Tensor values;
  Evaluation evaluation;
};

using Kind = std::tuple<const char*, const char*>;
class ComparedRanks : public testing::TestWithParam<Kind> {
 protected:
  static Trained train(const Trial& trial, const std::optional<RankGroup>& ranks, int64_t mini_batch_size,
                       int64_t grad_accum) {
    Adapter adapter = test::on_test_device(load_adapter(trial.folder / "adapter", *trial.checkpoint));
    const auto model = trial.model();
    TrainOptions options = trial.options(mini_batch_size);
    options.steps = 3;
    options.grad_accum = grad_accum;
    options.batch_size = grad_accum > 1 ? 2 : 8;
    options.ranks = ranks;
    ExampleTrainer trainer(*model, adapter, trial.rows.examples, options);
    Trained found;
    while (!trainer.done()) {
      const StepResult step = trainer.step();
      found.losses.push_back(step.loss);
      found.tokens.push_back(step.tokens);
      found.texts.push_back(step.target_tokens);
    }
    found.values = adapter.parameters->values().to(at::kCPU, false, true);
    found.evaluation =
        evaluate(*model, InferenceHooks(adapter), trial.rows.examples, 4, *options.contrastive, ranks);
    return found;
  }

  std::vector<Trained> train_as(int64_t count, int64_t mini_batch_size, int64_t grad_accum) const {
    std::vector<Trained> all(static_cast<size_t>(count));
    const auto errors = as_ranks(count, [&](const RankPlace& place) {
      const RankGroup group = RankGroup::join(place);
      all[static_cast<size_t>(place.rank)] = train(trial(), group, mini_batch_size, grad_accum);
      group.leave();
    });
    for (const auto& [rank, error] : errors) ADD_FAILURE() << rank << ": " << error;
    return all;
  }

  static Trial trial() { return {std::get<0>(GetParam()), std::get<1>(GetParam())}; }
};

void expect_same(const Trained& found, const Trained& expected) {
  ASSERT_EQ(found.losses.size(), expected.losses.size());
  // Scaled cosines of up to 20 are 2e-6 apart in f32.
  for (size_t i = 0; i < found.losses.size(); ++i)
    EXPECT_NEAR(found.losses[i], expected.losses[i], 5e-6 * std::max(1.0, std::abs(expected.losses[i]))) << i;
  EXPECT_EQ(found.tokens, expected.tokens);
  EXPECT_EQ(found.texts, expected.texts);
  EXPECT_NEAR(found.evaluation.loss, expected.evaluation.loss, 1e-5);
  ASSERT_EQ(found.evaluation.rows.size(), expected.evaluation.rows.size());
  EXPECT_EQ(found.evaluation.embeddings->accuracy, expected.evaluation.embeddings->accuracy);
  EXPECT_EQ(found.evaluation.embeddings->correlation.has_value(),
            expected.evaluation.embeddings->correlation.has_value());
}

TEST_P(ComparedRanks, TakeTheStepsOfOne) {
  for (const auto& [grad_accum, mini_batch_size] : {std::pair{1, 64}, {1, 3}, {2, 3}, {4, 64}}) {
    SCOPED_TRACE(fmt::format("{} batches a step, {} texts a pass", grad_accum, mini_batch_size));
    const Trained one = train(trial(), std::nullopt, mini_batch_size, grad_accum);
    for (const int64_t count : {2, 4}) {
      const std::vector<Trained> all = train_as(count, mini_batch_size, grad_accum);
      for (const Trained& rank : all) {
        expect_same(rank, one);
        EXPECT_TRUE(at::equal(rank.values, all.front().values));
      }
    }
  }
}

TEST_P(ComparedRanks, RepeatTheirBits) {
  const std::vector<Trained> first = train_as(2, 3, 1), again = train_as(2, 3, 1);
  EXPECT_EQ(first[0].losses, again[0].losses);
  EXPECT_TRUE(at::equal(first[0].values, again[1].values));
}

TEST(ComparedRanksOf, MoreRanksThanTexts) {
  const auto errors = as_ranks(4, [&](const RankPlace& place) {
    const RankGroup group = RankGroup::join(place);
    const Trial trial("bert", "cosine");
    Adapter adapter = test::on_test_device(load_adapter(trial.folder / "adapter", *trial.checkpoint));
    const auto model = trial.model();
    TrainOptions options = trial.options(64);
    options.steps = 2;
    options.batch_size = 1;
    options.ranks = group;
    ExampleTrainer trainer(*model, adapter, trial.rows.examples, options);
    while (!trainer.done()) EXPECT_TRUE(std::isfinite(trainer.step().loss));
    group.leave();
  });
  for (const auto& [rank, error] : errors) ADD_FAILURE() << rank << ": " << error;
}

INSTANTIATE_TEST_SUITE_P(Trials, ComparedRanks,
                         testing::Values(Kind{"qwen3", "pairs"}, Kind{"bert", "triplets"},
                                         Kind{"bert", "cosine"}, Kind{"gemma3", "cosent"},
                                         Kind{"bert", "matryoshka"}),
                         [](const auto& one) {
                           return fmt::format("{}_{}", std::get<0>(one.param), std::get<1>(one.param));
                         });

}  // namespace
}  // namespace lowrank
