// Full fine-tuning: the losses of five AdamW steps are those of transformers (tests/fixtures/make_full.py).
#include <gtest/gtest.h>

#include "base/json.h"
#include "model/registry.h"
#include "peft/core/registry.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/tiny_model.h"
#include "train/example_trainer.h"

namespace lowrank {
namespace {

class Full : public testing::TestWithParam<const char*> {};

TEST_P(Full, FiveStepsAreThoseOfTransformers) {
  const nlohmann::json expected =
      read_json_file(test::fixture("full") / (GetParam() + std::string(".json")), 1 << 20);
  const auto checkpoint = Checkpoint::open(test::fixture(expected["base"].get<std::string>()));
  const MethodInfo& info = method_named("full");
  Adapter adapter = make_adapter(info, info.make(), *checkpoint);
  adapter.method->initialise(*checkpoint, 0);
  EXPECT_EQ(adapter.parameters->count(), expected["count"].get<int64_t>());
  LoadOptions load = test::in_f32();
  load.training = true;
  load.use = uses_of(adapter.plan);
  const auto model = checkpoint->family().load(checkpoint, load);
  const std::vector<Example> rows = {{expected["input_ids"], expected["input_ids"], 1}};
  TrainOptions options;
  options.steps = 5;
  options.lr = 1e-3;
  options.schedule = "constant";
  ExampleTrainer trainer(*model, adapter, rows, options);
  for (const double loss : expected["losses"]) EXPECT_NEAR(trainer.step().loss, loss, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Bases, Full, testing::Values("llama", "gpt2", "gemma3"));

}  // namespace
}  // namespace lowrank
