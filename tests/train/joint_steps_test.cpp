// Runs whose steps share their passes compute what each computes alone, and one that cannot go on harms none.
#include "train/together/joint_steps.h"

#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>

#include "model/registry.h"
#include "peft/bank/adapter_group.h"
#include "peft/core/registry.h"
#include "support/load_forms.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"
#include "train/example_trainer.h"

namespace lowrank {
namespace {

/// A tiny base, and adapters of it with their own seeds and learning rates.
struct JointBase {
  test::TemporaryFolder folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::unique_ptr<Model> model;
  std::vector<Example> rows;

  explicit JointBase(const nlohmann::json& config) {
    test::write_tiny_model(folder.path(), config);
    checkpoint = Checkpoint::open(folder.path());
    LoadOptions load = test::in_f32();
    load.training = true;
    model = checkpoint->family().load(checkpoint, load);
    // Eleven rows with a prompt that all begin with, in micro-batches of two: the last one has a single row.
    rows = test::random_examples({9, 5, 7, 3, 8, 6, 4, 8, 3, 6, 5}, checkpoint->spec().vocabulary_size, 3);
    for (Example& row : rows) {
      row.tokens.insert(row.tokens.begin(), {1, 2, 3});
      row.labels.insert(row.labels.begin(), 3, no_target);
    }
  }

  Adapter adapter(const std::string& method, int64_t seed) const {
    const MethodInfo& info = method_named(method);
    Adapter made = make_adapter(info, info.make(), *checkpoint);
    made.method->initialise(*checkpoint, static_cast<uint64_t>(seed));
    return made;
  }

  static TrainOptions options(int64_t seed, double rate) {
    TrainOptions found;
    found.steps = 6;
    found.batch_size = 2;
    found.grad_accum = 2;
    found.seed = seed;
    found.lr = rate;
    found.warmup = 2;
    found.label_smoothing = 0.1;
    return found;
  }
};

const std::vector<std::pair<int64_t, double>> three_runs = {{1, 1e-2}, {2, 1e-2}, {2, 3e-3}};

double largest_difference(const Adapter& one, const Adapter& other) {
  return (one.parameters->values() - other.parameters->values()).abs().max().item<double>();
}

class JointStepsOf : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(JointStepsOf, AreThoseOfEachRunAlone) {
  const auto [family, method] = GetParam();
  constexpr double close = 2e-4;
  const JointBase base(test::tiny_config(family));
  std::vector<Adapter> together, alone;
  std::vector<Adapter*> members;
  std::vector<TrainOptions> options;
  for (const auto& [seed, rate] : three_runs) {
    together.push_back(base.adapter(method, seed));
    alone.push_back(base.adapter(method, seed));
    options.push_back(JointBase::options(seed, rate));
  }
  options[1].steps = 4;
  for (Adapter& adapter : together) {
    EXPECT_TRUE(can_join_group(adapter));
    members.push_back(&adapter);
  }
  JointSteps steps(*base.model, members, base.rows, options);
  const std::vector<size_t> all = {0, 1, 2};
  std::vector<std::vector<double>> losses(3);
  while (!steps.done(0)) {
    const std::vector<JointResult> results = steps.step(all);
    for (const size_t run : all) {
      EXPECT_EQ(results[run].problem, "");
      if (results[run].step.step > 0) losses[run].push_back(results[run].step.loss);
    }
  }
  EXPECT_EQ(losses[1].size(), 4U);
  for (const size_t run : all) {
    ExampleTrainer trainer(*base.model, alone[run], base.rows, options[run]);
    for (const double loss : losses[run]) {
      const StepResult step = trainer.step();
      EXPECT_NEAR(loss, step.loss, close * step.loss);
    }
    EXPECT_TRUE(trainer.done());
    EXPECT_LT(largest_difference(together[run], alone[run]), 20 * close);
  }
  EXPECT_GT(largest_difference(together[0], together[1]), 1e-2);
}

INSTANTIATE_TEST_SUITE_P(Methods, JointStepsOf,
                         testing::Values(std::pair("llama", "lora"), std::pair("gpt2", "lora"),
                                         std::pair("gemma3", "rslora"), std::pair("llama", "lora_plus"),
                                         std::pair("llama", "lora_fa"), std::pair("llama", "adalora"),
                                         std::pair("llama", "pissa"), std::pair("gpt2", "olora")),
                         [](const auto& info) {
                           return std::string(info.param.first) + "_" + info.param.second;
                         });

TEST(JointSteps, ARunThatIsNotFiniteStopsAlone) {
  const JointBase base(test::tiny_llama_config());
  Adapter broken = base.adapter("lora", 1), sound = base.adapter("lora", 2), alone = base.adapter("lora", 2);
  {
    const at::NoGradGuard no_grad;
    broken.parameters->values().fill_(std::numeric_limits<double>::quiet_NaN());
  }
  const std::vector<TrainOptions> options = {JointBase::options(1, 1e-2), JointBase::options(2, 1e-2)};
  JointSteps steps(*base.model, {&broken, &sound}, base.rows, options);
  const std::vector<size_t> all = {0, 1};
  const std::vector<JointResult> first = steps.step(all);
  EXPECT_NE(first[0].problem.find("step 1: the loss is nan"), std::string::npos) << first[0].problem;
  EXPECT_EQ(first[1].problem, "");
  EXPECT_TRUE(steps.done(0));
  while (!steps.done(1)) EXPECT_EQ(steps.step(all)[0].step.step, 0);
  ExampleTrainer trainer(*base.model, alone, base.rows, options[1]);
  while (!trainer.done()) trainer.step();
  EXPECT_LT(largest_difference(sound, alone), 2e-3);
}

TEST(JointSteps, TakeMethodsThatOnlyAddFactors) {
  const JointBase base(test::tiny_llama_config());
  for (const char* method : {"prompt_tuning", "houlsby", "full", "dora", "ia3", "oft", "layer_norm"})
    EXPECT_FALSE(can_join_group(base.adapter(method, 1))) << method;
  const MethodInfo& info = method_named("lora");
  std::unique_ptr<Method> dropping = info.make();
  apply(dropping->fields(), {{"dropout", 0.1}}, "options");
  EXPECT_FALSE(can_join_group(make_adapter(info, std::move(dropping), *base.checkpoint)));
}

}  // namespace
}  // namespace lowrank
