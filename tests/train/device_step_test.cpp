// What a training step on a device sends to it and reads back from it.
#include <string_view>

#include <gtest/gtest.h>

#include "model/registry.h"
#include "peft/core/registry.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/stand_in_device.h"
#include "support/temporary_folder.h"
#include "support/test_device.h"
#include "support/tiny_model.h"
#include "train/example_trainer.h"

namespace lowrank {
namespace {

/// The crossings of the third step of a run, of so many micro-batches.
test::Crossings crossings_of_a_step(const char* method, int64_t micro_batches) {
  const test::TemporaryFolder folder;
  test::write_tiny_model(folder.path(), test::tiny_llama_config());
  const auto checkpoint = Checkpoint::open(folder.path());
  const std::vector<Example> rows = test::random_examples({7, 3, 9, 5}, checkpoint->spec().vocabulary_size);
  const MethodInfo& info = method_named(method);
  Adapter adapter = make_adapter(info, info.make(), *checkpoint);
  adapter.method->initialise(*checkpoint, 1);
  adapter = test::on_test_device(std::move(adapter));
  LoadOptions load = test::in_f32();
  load.compute = at::kBFloat16;
  load.training = true;
  load.device = test::test_device();
  load.use = uses_of(adapter.plan);
  const auto model = checkpoint->family().load(checkpoint, load);
  TrainOptions options;
  options.steps = 3;
  options.batch_size = 2;
  options.grad_accum = micro_batches;
  ExampleTrainer trainer(*model, adapter, rows, options);
  trainer.step();
  trainer.step();
  const test::Crossings before = test::stand_in_crossings();
  trainer.step();
  const test::Crossings after = test::stand_in_crossings();
  return {after.to_device - before.to_device, after.from_device - before.from_device};
}

TEST(DeviceStep, ReadsBackItsLossAndNormAlone) {
  if (test::test_device().is_cpu()) GTEST_SKIP() << "for a device: LOWRANK_TEST_DEVICE=stand_in";
  for (const char* method : {"lora", "ia3", "prefix_tuning", "full"}) {
    SCOPED_TRACE(method);
    // A head that trains asks of each micro-batch whether the loss' gradient is the expected one.
    const int64_t of_head = std::string_view(method) == "full" ? 2 : 0;
    for (const int64_t micro_batches : {1, 2}) {
      const test::Crossings crossings = crossings_of_a_step(method, micro_batches);
      EXPECT_EQ(crossings.from_device, 2 + micro_batches * of_head);
      // Embedded rows, targets, their rows and weights, cosines and sines, attention's runs; a prefix, which
      // is not the last layer's, takes part in runs of its own.
      const int64_t sent = std::string_view(method) == "prefix_tuning" ? 8 : 7;
      EXPECT_LE(crossings.to_device, micro_batches * sent);
    }
  }
}

}  // namespace
}  // namespace lowrank
