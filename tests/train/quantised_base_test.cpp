// Training on GGUF's block types that are only read: the base is expanded in each step, and what is learned
// is what the same values in F32 teach.
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "model/registry.h"
#include "peft/core/registry.h"
#include "support/block_model.h"
#include "support/load_forms.h"
#include "support/temporary_folder.h"
#include "support/test_device.h"
#include "support/tiny_model.h"
#include "train/run.h"

namespace lowrank {
namespace {

struct Learned {
  std::vector<double> losses;
  at::Tensor values;
};

Learned learn(const std::filesystem::path& folder, const test::LoadForm& form, bool expanded) {
  const auto path = folder / (expanded ? "f32.gguf" : "blocks.gguf");
  test::write_block_model(path, expanded);
  const auto checkpoint = Checkpoint::open(path);
  const MethodInfo& info = method_named("lora");
  std::unique_ptr<Method> method = info.make();
  apply(method->fields(), {{"target_modules", "all-linear"}, {"rank", 4}}, "test");
  Adapter adapter = make_adapter(info, std::move(method), *checkpoint);
  adapter.method->initialise(*checkpoint, 1);
  adapter = test::on_test_device(std::move(adapter));
  LoadOptions load = form.options();
  load.training = true;
  load.device = test::test_device();
  load.use = uses_of(adapter.plan);
  const auto model = checkpoint->family().load(checkpoint, load);
  TrainOptions options;
  options.steps = 6;
  options.lr = 0.01;
  RunFolder run_folder;
  run_folder.output = folder / (expanded ? "f32" : "blocks");
  Learned learned;
  RunCallbacks callbacks;
  callbacks.after_step = [&](const StepResult& step, int64_t) { learned.losses.push_back(step.loss); };
  run_training(*model, adapter, test::random_examples({7, 3, 9}, 96), {}, options, run_folder, callbacks);
  learned.values = adapter.parameters->values().cpu();
  return learned;
}

class QuantisedBase : public testing::TestWithParam<test::LoadForm> {};

TEST_P(QuantisedBase, LearnsWhatTheSameValuesInF32Teach) {
  const test::TemporaryFolder folder;
  const Learned blocks = learn(folder.path(), GetParam(), false);
  const Learned plain = learn(folder.path(), GetParam(), true);
  ASSERT_EQ(blocks.losses.size(), 6U);
  EXPECT_EQ(blocks.losses, plain.losses);
  EXPECT_LT(blocks.losses.back(), 0.8 * blocks.losses.front());
  EXPECT_TRUE(at::equal(blocks.values, plain.values));
}

INSTANTIATE_TEST_SUITE_P(Forms, QuantisedBase, testing::ValuesIn(test::load_forms), test::name_of_form);

}  // namespace
}  // namespace lowrank
